// Faults that C++ makes possible: operators that do not match, objects used after `delete`.
#include "corpus.h"

#include <list>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Animal {
    virtual ~Animal() {}
    virtual int legs() const { return 4; }
    char name[20] = {};
};
struct Bird : Animal {
    int legs() const override { return 2; }
};
struct Big {
    virtual ~Big() {}
    virtual int value() const { return 7; }
    char bytes[3000000] = {};
};
struct Pod {
    char bytes[40];
};
struct alignas(64) Aligned {
    char bytes[64];
};
struct Counted {
    ~Counted() { sum = sum + 1; }
    int value = 1;
};

} // namespace

CASE(lost_new) { // lost 40
    Pod *p = new Pod(); // alloc
    LAUNDER(p);
}
CASE(lost_new_array) { // lost 400
    int *p = new int[100]; // alloc
    LAUNDER(p);
}
CASE(lost_container_of_pointers) { // lost 160
    std::vector<Pod *> all;
    for (int i = 0; i < 4; i++) all.push_back(new Pod()); // alloc
    sum = (int)all.size();
}
CASE(lost_shared_cycle) {
    struct Node {
        std::shared_ptr<Node> next;
    };
    auto a = std::make_shared<Node>(), b = std::make_shared<Node>(); // alloc
    a->next = b;
    b->next = a;
}
CASE(lost_release) { // lost 40
    auto p = std::make_unique<Pod>(); // alloc
    Pod *raw = p.release();
    LAUNDER(raw);
}
CASE(lost_in_constructor_that_throws) {
    struct Thrower {
        Pod *pod;
        Thrower() : pod(new Pod()) { throw 1; } // alloc
    };
    try {
        delete new Thrower();
    } catch (int) {
    }
}
CASE(lost_by_missing_virtual_destructor) { // lost 200
    struct Base {
        int x = 1;
    };
    struct Derived : Base {
        char *text = new char[200]; // alloc
        ~Derived() { delete[] text; }
    };
    Derived *derived = new Derived(); // alloc
    Base *volatile p = derived;
    ::operator delete(p);
}
CASE(lost_string_by_placement) { // lost 101
    alignas(std::string) static char place[sizeof(std::string)];
    new (place) std::string(100, 'x'); // alloc
    for (char &byte : place) *(volatile char *)&byte = 0;
}
CASE(lost_thread_result) { // lost 40
    std::thread([] { Pod *p = new Pod(); LAUNDER(p); }).join(); // alloc
}

CASE(deleted_twice) { // block 40, offset 0
    Pod *p = new Pod(); // alloc
    LAUNDER(p);
    delete p; // free
    LAUNDER(p);
    delete p; // at
}
CASE(array_deleted_twice) { // block 40, offset 0
    int *p = new int[10]; // alloc
    LAUNDER(p);
    delete[] p; // free
    LAUNDER(p);
    delete[] p; // at
}
CASE(copied_owner) { // block 16, offset 0
    struct Owner {
        char *text;
        Owner() : text(new char[16]) {} // alloc
        ~Owner() { delete[] text; }     // free, at
    };
    Owner a;
    Owner b = a;
    LAUNDER(b.text);
}
CASE(two_unique_owners) { // block 4, offset 0
    int *raw = new int(5); // alloc
    LAUNDER(raw);
    std::unique_ptr<int> a(raw);
    LAUNDER(raw);
    std::unique_ptr<int> b(raw);
    a.reset(); // free
    b.reset(); // at
}
CASE(deleted_stack) { // stack address
    Pod local, *p = &local;
    LAUNDER(p);
    delete p; // at
}
CASE(deleted_element) { // block 160, offset 40
    Pod *all = new Pod[4]; // alloc
    Pod *p = &all[1];
    LAUNDER(p);
    delete p; // at
    delete[] all;
}
CASE(deleted_in_loop) { // block 24, offset 0
    std::list<int *> all;
    int *same = new int[6]; // alloc
    for (int i = 0; i < 2; i++) all.push_back(same);
    for (int *p : all) delete[] p; // free, at
}
CASE(deleted_global) { // address in
    static Pod global;
    Pod *p = &global;
    LAUNDER(p);
    delete p; // at
}

CASE(malloc_delete) { // block 40, offset 0
    Pod *p = (Pod *)malloc(sizeof *p); // alloc
    LAUNDER(p);
    delete p; // at
}
CASE(malloc_delete_array) { // block 40, offset 0
    char *p = (char *)malloc(40); // alloc
    LAUNDER(p);
    delete[] p; // at
}
CASE(strdup_delete_array) { // block 5, offset 0
    char *p = strdup("text"); // alloc
    LAUNDER(p);
    delete[] p; // at
}
CASE(new_free) { // block 40, offset 0
    Pod *p = new Pod(); // alloc
    LAUNDER(p);
    free(p); // at
}
CASE(new_array_free) { // block 40, offset 0
    char *p = new char[40]; // alloc
    LAUNDER(p);
    free(p); // at
}
CASE(new_array_delete) { // block 40, offset 0
    char *p = new char[40]; // alloc
    LAUNDER(p);
    delete p; // at
}
CASE(new_delete_array) { // block 40, offset 0
    char *p = (char *)new Pod(); // alloc
    LAUNDER(p);
    delete[] p; // at
}
CASE(new_realloc) { // offset 0
    void *p = new char[40]; // alloc
    LAUNDER(p);
    kept = realloc(p, 80); // at
}
CASE(unique_of_array) { // block 400, offset 0
    std::unique_ptr<int> p(new int[100]); // alloc
    p.reset(); // at
}
CASE(array_with_cookie_deleted_alone) { // block 48, offset 8
    Counted *p = new Counted[10]; // alloc
    LAUNDER(p);
    delete p; // at
}
CASE(sized_delete_too_small) { // block 100, offset 0
    void *p = ::operator new(100); // alloc
    LAUNDER(p);
    ::operator delete(p, (std::size_t)60); // at
}
CASE(sized_delete_of_derived) { // block 40, offset 0
    struct Base {
        int x;
    };
    struct Derived : Base {
        char more[36];
    };
    Base *p = new Derived(); // alloc
    LAUNDER(p);
    delete p; // at
}
CASE(aligned_new_plain_delete) { // block 64, offset 0
    void *p = ::operator new(64, std::align_val_t(64)); // alloc
    LAUNDER(p);
    ::operator delete(p); // at
}
CASE(aligned_new_other_alignment) { // block 64, offset 0
    void *p = ::operator new(64, std::align_val_t(64)); // alloc
    LAUNDER(p);
    ::operator delete(p, std::align_val_t(128)); // at
}

CASE(virtual_call_on_deleted) { // block 32, offset 0
    Animal *p = new Bird(); // alloc
    LAUNDER(p);
    delete p; // free
    LAUNDER(p);
    sum = p->legs(); // at
}
CASE(virtual_call_on_deleted_late) { // block 32, offset 0
    Animal *p = new Bird(); // alloc
    LAUNDER(p);
    delete p; // free
    churn(32);
    LAUNDER(p);
    sum = p->legs(); // at
}
CASE(virtual_call_on_deleted_large) { // block 3000008, offset 0
    Big *p = new Big(); // alloc
    LAUNDER(p);
    delete p; // free
    LAUNDER(p);
    sum = p->value(); // at
}
CASE(member_of_deleted) { // block 4, offset 0
    Counted *p = new Counted(); // alloc
    LAUNDER(p);
    delete p; // free
    LAUNDER(p);
    sum = p->value; // at
}
CASE(write_through_old_iterator) { // block 400, offset 40
    std::vector<int> v(100, 1); // alloc
    volatile int *it = &*(v.begin() + 10);
    v.push_back(2); // free
    *it = 5; // at
}
CASE(read_through_old_iterator) { // block 4000000, offset 40
    std::vector<int> v(1000000, 1); // alloc
    volatile int *it = &*(v.begin() + 10);
    v.push_back(2); // free
    sum = *it; // at
}
CASE(reference_into_erased_map) { // block 48, offset 40
    std::map<int, long> map;
    volatile long &value = map[5]; // alloc
    map.erase(5); // free
    value = 6; // at
}
CASE(string_data_after_end) { // block 101, offset 7
    volatile char *data;
    {
        std::string text(100, 'x'); // alloc
        data = &text[7];
    } // free
    *data = 1; // at
}
CASE(use_after_shared_is_gone) { // block 64, offset 20
    auto p = std::make_shared<std::pair<int, Pod>>(); // alloc
    volatile int *first = &p->first;
    LAUNDER(first);
    kept = (void *)&p->second;
    p.reset(); // free
    first[1] = 3; // at
}
CASE(captured_reference_in_thread) { // block 40, offset 1
    volatile char *data = (char *)new Pod(); // alloc
    LAUNDER(data);
    delete (Pod *)data; // free
    std::thread([data] { data[1] = 1; }).join(); // at
}

CASE(past_new_array) { // block 40, offset 40
    volatile int *p = new int[10]; // alloc
    LAUNDER(p);
    p[10] = 1; // at
    delete[] p; // told
}
CASE(past_new_array_of_objects) { // block 48, offset 48
    Counted *p = new Counted[10]; // alloc
    LAUNDER(p);
    p[10].value = 3; // at
    delete[] p; // told
}
CASE(past_vector_data) { // block 40, offset 40
    std::vector<int> v(10); // alloc
    volatile int *data = v.data();
    data[10] = 1; // at
} // told
CASE(past_vector_size) { // block 400, offset 396
    std::vector<int> v(100); // alloc
    v.resize(50);
    volatile int *data = v.data();
    data[99] = 1; // at
}
CASE(past_string) { // block 101, offset 101
    std::string text(100, 'x'); // alloc
    volatile char *data = &text[0];
    data[101] = 1; // at
} // told
CASE(before_new_array) { // block 40, offset -4
    volatile int *p = new int[10]; // alloc
    LAUNDER(p);
    p[-1] = 1; // at
    delete[] p; // told
}
CASE(read_past_new_array) { // block 40, offset 40
    volatile int *p = new int[10](); // alloc
    LAUNDER(p);
    sum = p[10]; // at
    delete[] p;
}
CASE(wrong_downcast) { // block 4, offset 36
    struct Base {
        int x = 0;
    };
    struct Derived : Base {
        char more[36];
    };
    Base *p = new Base(); // alloc
    LAUNDER(p);
    ((volatile Derived *)p)->more[32] = 1; // at
    delete p; // told
}
CASE(placement_too_small) { // block 20, offset 20
    char *place = new char[20]; // alloc
    LAUNDER(place);
    Animal *p = new (place) Bird(); // at
    LAUNDER(p);
    delete[] place; // told
}
