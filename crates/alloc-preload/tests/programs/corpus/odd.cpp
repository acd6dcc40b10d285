// More of C++ that is odd and allowed. No case has a fault.
#include "corpus.h"

#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <exception>
#include <forward_list>
#include <functional>
#include <future>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <new>
#include <optional>
#include <queue>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

#define CHECK(condition)                                          \
    do {                                                          \
        if (!(condition)) {                                       \
            printf("line %d: not %s\n", __LINE__, #condition);    \
            _Exit(99);                                            \
        }                                                         \
    } while (0)

namespace {

// Its own operators, which take from a list of its own.
struct Pooled {
    static void *operator new(size_t size) {
        if (free_list) {
            void *p = free_list;
            free_list = *(void **)p;
            return p;
        }
        return ::operator new(size);
    }
    static void operator delete(void *p) {
        *(void **)p = free_list;
        free_list = p;
    }
    static void *free_list;
    char bytes[48];
};
void *Pooled::free_list;

struct Tail {
    size_t count;
    static Tail *make(size_t count) {
        void *p = ::operator new(sizeof(Tail) + count * sizeof(int));
        Tail *tail = new (p) Tail{count};
        for (size_t i = 0; i < count; i++) new (tail->begin() + i) int((int)i);
        return tail;
    }
    int *begin() { return (int *)(this + 1); }
};

// Allocates while the process starts and while it ends.
struct Early {
    std::map<int, std::string> names;
    Early() {
        for (int i = 0; i < 20; i++) names[i] = std::string(50, (char)('a' + i));
    }
    ~Early() {
        names.erase(3);
        std::string last(300, 'z');
        names[99] = last;
    }
} early;

template <typename T> struct Arena {
    using value_type = T;
    std::shared_ptr<std::vector<std::unique_ptr<char[]>>> blocks =
        std::make_shared<std::vector<std::unique_ptr<char[]>>>();
    Arena() = default;
    template <typename U> Arena(const Arena<U> &other) : blocks(other.blocks) {}
    T *allocate(size_t count) {
        blocks->push_back(std::make_unique<char[]>(count * sizeof(T)));
        return (T *)blocks->back().get();
    }
    void deallocate(T *, size_t) {}
    bool operator==(const Arena &other) const { return blocks == other.blocks; }
};

struct Generator {
    struct promise_type {
        int value = 0;
        Generator get_return_object() {
            return {std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        std::suspend_always initial_suspend() { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        std::suspend_always yield_value(int next) {
            value = next;
            return {};
        }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
    std::coroutine_handle<promise_type> handle;
};
Generator count_up() {
    std::vector<int> numbers(100, 1);
    for (int total = 0;; total += numbers[5]) co_yield total;
}

} // namespace

CASE(operators_of_a_class) {
    std::vector<Pooled *> all;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 50; i++) all.push_back(new Pooled());
        for (Pooled *one : all) delete one;
        all.clear();
    }
}
CASE(array_behind_a_header) {
    Tail *tail = Tail::make(33);
    CHECK(tail->begin()[32] == 32);
    ::operator delete(tail);
    static Tail *held = Tail::make(5);
    CHECK(held->count == 5);
}
CASE(only_a_base_is_held) {
    struct First { virtual ~First() = default; long a = 1; };
    struct Second { virtual ~Second() = default; long b = 2; };
    struct Whole : First, Second { std::string text = std::string(100, 'w'); };
    static Second *held = new Whole();
    static auto &all = *new std::vector<Second *>();
    for (int i = 0; i < 20; i++) all.push_back(new Whole());
    for (int i = 0; i < 10; i++) {
        delete all.back();
        all.pop_back();
    }
    CHECK(held->b == 2);
}
CASE(allocators_of_own) {
    Arena<int> arena;
    std::vector<int, Arena<int>> numbers(arena);
    std::list<int, Arena<int>> list(arena);
    for (int i = 0; i < 500; i++) {
        numbers.push_back(i);
        list.push_front(i);
    }
    CHECK(numbers[499] == 499 && list.front() == 499);
    alignas(64) char buffer[512];
    std::pmr::monotonic_buffer_resource local(buffer, sizeof buffer);
    std::pmr::synchronized_pool_resource pool;
    std::pmr::map<int, std::pmr::string> map(&pool);
    std::pmr::vector<char> bytes(2000, 'b', &local);
    for (int i = 0; i < 300; i++) map.emplace(i, std::pmr::string((size_t)i, 'm', &pool));
    map.erase(map.begin(), map.find(150));
}
CASE(coroutines_end_or_do_not) {
    Generator finished = count_up();
    for (int i = 0; i < 5; i++) finished.handle.resume();
    CHECK(finished.handle.promise().value == 4);
    finished.handle.destroy();
    static Generator held = count_up();
    held.handle.resume();
}
CASE(singletons_that_stay) {
    static auto *table = new std::unordered_map<std::string, std::unique_ptr<std::string>>();
    for (int i = 0; i < 100; i++) {
        (*table)["key number " + std::to_string(i)] = std::make_unique<std::string>(200, 'v');
    }
    static std::once_flag once;
    static std::shared_ptr<std::vector<int>> shared;
    std::call_once(once, [] { shared = std::make_shared<std::vector<int>>(1000); });
    static std::weak_ptr<std::vector<int>> weak = shared;
    static std::function<int()> callback = [copy = shared] { return (int)copy->size(); };
    CHECK(callback() == 1000);
}
CASE(thrown_across_threads) {
    std::promise<int> promise;
    std::thread thread([&promise] {
        try {
            throw std::make_unique<std::string>(500, 't');
        } catch (...) {
            promise.set_exception(std::current_exception());
        }
    });
    try {
        promise.get_future().get();
    } catch (const std::unique_ptr<std::string> &text) {
        CHECK(text->size() == 500);
    }
    thread.join();
}
CASE(no_memory_for_arrays) {
    volatile size_t count = (size_t)1 << 61;
    int caught = 0;
    try {
        sum = (int)(uintptr_t) new long[count];
    } catch (const std::bad_array_new_length &) {
        caught++;
    }
    try {
        std::vector<char> bytes((size_t)1 << 46);
        sum = bytes[7];
    } catch (const std::bad_alloc &) {
        caught++;
    }
    try {
        std::string((size_t)-1 / 2 + 1, 'x').swap(*new std::string());
    } catch (const std::length_error &) {
        caught++;
    }
    CHECK(new (std::nothrow) char[(size_t)1 << 46] == nullptr && caught == 3);
}
thread_local std::vector<std::string> texts;
CASE(threads_with_locals_that_free) {
    static std::atomic<int> done;
    std::vector<std::future<int>> results;
    for (int i = 0; i < 8; i++) {
        results.push_back(std::async(std::launch::async, [i] {
            for (int j = 0; j < 100; j++) texts.emplace_back((size_t)(i * j), 'x');
            done++;
            return (int)texts.size();
        }));
    }
    for (auto &result : results) CHECK(result.get() == 100);
    texts.emplace_back(100, 'm');
}
CASE(containers_that_move) {
    using Any = std::variant<int, std::string, std::vector<int>>;
    std::deque<Any> all;
    for (int i = 0; i < 300; i++) {
        if (i % 3 == 0) all.emplace_front(i);
        if (i % 3 == 1) all.emplace_back(std::string(60, 's'));
        if (i % 3 == 2) all.emplace_back(std::vector<int>((size_t)i, i));
    }
    std::deque<Any> moved = std::move(all);
    all = {};
    std::forward_list<std::optional<std::string>> list(10, std::string(40, 'l'));
    list.splice_after(list.before_begin(), std::forward_list<std::optional<std::string>>(3));
    std::priority_queue<std::pair<int, std::string>> queue;
    for (int i = 0; i < 100; i++) queue.emplace(i * 37 % 100, std::string(30, 'q'));
    while (!queue.empty()) queue.pop();
    std::multiset<std::string> set{"a text that is not short at all", "another one, no shorter"};
    auto node = set.extract(set.begin());
    node.value() += " and longer";
    set.insert(std::move(node));
    CHECK(set.size() == 2 && moved.size() == 300);
}
