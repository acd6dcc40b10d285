// Faults of C++ programs: containers left at their ends, owners that are two or none, wrong operators.
#include "corpus.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <new>
#include <setjmp.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

struct Left {
    virtual ~Left() {}
    long left = 1;
};
struct Right {
    long right = 2;
};
struct Both : Left, Right {
    char bytes[40] = {};
};
struct alignas(128) Wide {
    char bytes[128];
};
struct Held {
    char bytes[48] = {};
};

} // namespace

CASE(pointer_to_first_after_push_back) { // block 400, offset 0
    std::vector<int> all(100, 1); // alloc
    volatile int *first = &all[0];
    all.push_back(2); // free
    *first = 5; // at
}
CASE(pointer_after_shrink) { // block 2000000, offset 40
    std::vector<char> all(2000000, 'x'); // alloc
    volatile char *middle = all.data() + 40;
    all.resize(10);
    all.shrink_to_fit(); // free
    sum = *middle; // at
}
CASE(view_of_temporary) { // block 301
    std::string_view view = std::string(300, 'v'); // alloc, free
    sum = *(volatile const char *)view.data(); // at
}
CASE(view_of_large_temporary) { // block 300001, offset 0
    std::string_view view = std::string(300000, 'v'); // alloc, free
    sum = *(volatile const char *)view.data(); // at
}
CASE(iterator_of_erased_node) { // block 24, offset 16
    std::list<int> all{1, 2, 3}; // alloc
    auto second = std::next(all.begin());
    all.erase(second); // free
    *(volatile int *)&*second = 7; // at
}
CASE(reference_into_moved_text) { // block 101, offset 99
    std::string text(100, 't'); // alloc
    volatile char *last = &text[99];
    {
        std::string other = std::move(text);
        other += 'x'; // free
    } // free
    *last = 'l'; // at
}
CASE(element_of_cleared_map) { // block 48, offset 40
    std::map<int, long> all{{1, 10}}; // alloc
    volatile long *value = &all[1];
    all.clear(); // free
    *value = 11; // at
}
CASE(element_of_popped_deque) { // block 512, offset 0
    std::deque<long> all(1, 5); // alloc
    volatile long *first = &all.front();
    { std::deque<long> gone = std::move(all); } // free
    *first = 6; // at
}
struct Log {
    explicit Log(std::string &text) : text(text) {}
    ~Log() { *(volatile char *)text.data() = 'e'; } // at log_outlives_its_text
    std::string &text;
};
CASE(log_outlives_its_text) { // block 61, offset 0
    auto text = std::make_unique<std::string>(60, 'l'); // alloc
    Log log(*text);
    volatile char *bytes = text->data();
    (void)bytes;
    std::string copy = *text;
    text->~basic_string(); // free
    std::string *again = new (text.get()) std::string();
    (void)again;
    *bytes = 1; // at
}
CASE(callback_with_gone_capture) { // block 48, offset 3
    std::function<void()> later;
    {
        auto held = std::make_unique<Held>(); // alloc
        later = [&bytes = held->bytes] { ((volatile char *)bytes)[3] = 1; }; // at
    } // free
    later();
}
CASE(pool_used_after_release) { // block 4032
    std::pmr::monotonic_buffer_resource pool(4000); // alloc
    volatile char *p = (char *)pool.allocate(3000, 8); // alloc
    pool.release(); // free
    p[2000] = 1; // at
}
CASE(data_freed) { // block 400, offset 0
    std::vector<int> all(100); // alloc
    free(all.data()); // at
} // at
CASE(data_deleted) { // block 400, offset 0
    std::vector<int> all(100); // alloc
    int *data = all.data();
    LAUNDER(data);
    delete data; // at
} // at
CASE(owner_made_of_get) { // block 48, offset 0
    std::unique_ptr<Held> one(new Held()); // alloc
    Held *raw = one.get();
    LAUNDER(raw);
    { std::unique_ptr<Held> other(raw); } // free
    raw = one.release();
    LAUNDER(raw);
    delete raw; // at
}
CASE(two_counts_of_one) { // block 48, offset 0
    Held *raw = new Held(); // alloc
    LAUNDER(raw);
    auto one = std::make_unique<std::shared_ptr<Held>>(raw);
    auto other = std::make_unique<std::shared_ptr<Held>>(raw);
    one.reset(); // free
    other.reset(); // at
}
CASE(deleted_by_second_base) { // offset 16
    Right *right = new Both(); // alloc
    LAUNDER(right);
    delete right; // at
}
CASE(placed_on_stack_deleted) { // stack address
    alignas(Held) char place[sizeof(Held)];
    Held *held = new (place) Held();
    LAUNDER(held);
    delete held; // at
}
CASE(static_deleted) { // address in
    static Held held;
    Held *it = &held;
    LAUNDER(it);
    delete it; // at
}
CASE(shared_array_deleted_alone) { // block 100, offset 0
    std::shared_ptr<char> text(new char[100]); // alloc
    text.reset(); // at
}
CASE(wide_freed) { // block 128, offset 0
    Wide *wide = new Wide(); // alloc
    LAUNDER(wide);
    free(wide); // at
}
CASE(copy_of_text_deleted) { // block 6, offset 0
    char *text = strdup("hello"); // alloc
    LAUNDER(text);
    delete text; // at
}
CASE(aligned_alloc_deleted) { // block 128, offset 0
    void *p = aligned_alloc(64, 128); // alloc
    LAUNDER(p);
    ::operator delete(p, std::align_val_t(64)); // at
}
CASE(deleted_as_wrong_type) { // block 48, offset 0
    void *p = new Held(); // alloc
    LAUNDER(p);
    delete (long *)p; // at
}
CASE(array_deleted_with_wrong_size) { // block 96, offset 0
    void *p = ::operator new[](96); // alloc
    LAUNDER(p);
    ::operator delete[](p, (size_t)95); // at
}
CASE(copied_into_too_short) { // block 40, offset 40
    std::vector<int> from(20, 3), to(10); // alloc
    std::copy(from.begin(), from.begin() + 11, to.begin()); // at
} // told
CASE(index_of_size) { // block 80, offset 80
    std::vector<double> all(10); // alloc
    for (size_t i = 0; i <= all.size(); i++) ((volatile double *)all.data())[i] = 1; // at
} // told
CASE(text_copied_into_data) { // block 31, offset 31/32
    std::string text(30, ' '); // alloc
    char *data = text.data();
    LAUNDER(data);
    strcpy(data, "more than the thirty letters it has"); // at
} // told
CASE(index_before_begin) { // block 80, offset -8
    std::vector<long> all(10); // alloc
    auto it = all.begin();
    *(volatile long *)(&*it - 1) = 4; // at
} // told
CASE(object_zeroed_as_derived) { // block 16, offset 16
    Left *left = new Left(); // alloc
    LAUNDER(left);
    char *bytes = (char *)left;
    memset(bytes + 8, 0, sizeof(Both) - 8); // at
    delete left; // told
}
CASE(accumulated_too_far) { // block 80, offset 80
    std::vector<long> all(10, 1); // alloc
    volatile long *end = all.data() + 11;
    long total = 0;
    for (volatile long *it = all.data(); it != end; it++) total += *it; // at
    sum = (int)total;
}
HIDDEN void may_throw(bool does) {
    if (does) throw std::runtime_error("does not go on");
}
HIDDEN void allocate_and_throw() {
    char *text = new char[93]; // alloc lost_by_exception
    LAUNDER(text);
    may_throw(text != nullptr);
    delete[] text;
}
CASE(lost_by_exception) { // lost 93
    try {
        allocate_and_throw();
    } catch (const std::exception &) {
    }
}
jmp_buf back;
HIDDEN void jump_over_destructor() {
    std::string text(94, 'j'); // alloc lost_by_jump_over_destructor
    longjmp(back, (int)text.size());
}
CASE(lost_by_jump_over_destructor) { // lost 95
    if (setjmp(back) == 0) jump_over_destructor();
}
struct Button {
    std::function<void()> clicked;
    char bytes[64];
};
CASE(lost_by_function_that_holds_itself) {
    auto button = std::make_shared<Button>(); // alloc
    button->clicked = [button] { button->bytes[0] = 1; };
}
CASE(lost_old_value) { // lost 48
    std::unordered_map<int, Held *> all;
    all[1] = new Held(); // alloc
    all[1] = new Held(); // alloc
    delete all[1];
}
CASE(lost_in_thread_local) { // lost 48
    std::thread([] {
        thread_local Held *held;
        held = new Held(); // alloc
        LAUNDER(held);
    }).join();
}
