// What C++ does with memory, rightly. No case has a fault.
#include "corpus.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <new>
#include <numeric>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

#define CHECK(condition)                                       \
    do {                                                       \
        if (!(condition)) {                                    \
            printf("line %d: not %s\n", __LINE__, #condition); \
            _exit(99);                                         \
        }                                                      \
    } while (0)

namespace {

struct Static {
    std::vector<std::string> texts{"one that is too long for the object itself", "two"};
    ~Static() { texts.push_back("three, which is allocated after main"); }
};
Static in_main;
thread_local std::string own_text(100, 't');

struct Left {
    virtual ~Left() = default;
    long a = 1;
};
struct Right {
    virtual ~Right() = default;
    long b = 2;
};
struct Both : Left, Right {
    std::string text = std::string(50, 'b');
};
struct alignas(256) Wide {
    char bytes[256];
};
struct Throws {
    std::string text = std::string(60, 'x');
    explicit Throws(int depth) {
        if (depth == 0) throw std::runtime_error("from a constructor that has allocated");
    }
};

int fall(int depth) {
    std::string text((size_t)(40 + depth), 'f');
    if (depth == 0) throw std::invalid_argument(text);
    return fall(depth - 1) + (int)text.size();
}

} // namespace

CASE(exceptions) {
    for (int i = 0; i < 50; i++) {
        try {
            sum = fall(i);
        } catch (const std::exception &error) {
            CHECK(std::string(error.what()).size() == 40);
        }
        try {
            delete new Throws(0);
        } catch (...) {
        }
        try {
            std::vector<Throws> all;
            for (int depth = 3; depth >= 0; depth--) all.emplace_back(depth);
        } catch (const std::runtime_error &error) {
            try {
                std::throw_with_nested(std::logic_error("outer"));
            } catch (const std::exception &) {
            }
        }
    }
    std::exception_ptr held;
    try {
        fall(3);
    } catch (...) {
        held = std::current_exception();
    }
    std::thread([held] {
        try {
            std::rethrow_exception(held);
        } catch (const std::exception &) {
        }
    }).join();
}
CASE(no_memory_is_caught) {
    volatile size_t large = (size_t)1 << 60;
    int caught = 0;
    try {
        kept = new char[large];
    } catch (const std::bad_alloc &) {
        caught++;
    }
    CHECK(new (std::nothrow) char[large] == nullptr);
    try {
        std::vector<int> all;
        all.resize(all.max_size());
    } catch (const std::exception &) {
        caught++;
    }
    static int asked = 0;
    std::set_new_handler([] {
        if (++asked == 3) std::set_new_handler(nullptr);
    });
    try {
        kept = ::operator new(large);
    } catch (const std::bad_alloc &) {
        caught++;
    }
    std::cout << caught << ' ' << asked << '\n';
}
CASE(containers) {
    std::map<std::string, std::vector<int>> map;
    std::unordered_map<int, std::unique_ptr<std::string>> table;
    std::set<std::string> set;
    std::list<int> list(1000, 5);
    for (int i = 0; i < 3000; i++) {
        map["key number " + std::to_string(i % 700)].push_back(i);
        table[i] = std::make_unique<std::string>(std::to_string(i) + " in a string");
        set.insert(std::string((size_t)(i % 90), 's'));
        if (i % 3) table.erase(i / 2);
    }
    std::vector<std::string> texts;
    for (const auto &[key, values] : map) texts.push_back(key);
    std::sort(texts.begin(), texts.end(), std::greater<>());
    texts.erase(texts.begin() + 10, texts.begin() + 300);
    texts.shrink_to_fit();
    std::vector<bool> bits(10001, true);
    std::cout << texts.size() << ' ' << table.size() << ' ' << set.size() << ' ' << bits.size() << '\n';
}
CASE(threads) {
    std::mutex mutex;
    std::vector<std::string> all;
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; i++) {
        threads.emplace_back([&, i] {
            own_text += std::to_string(i);
            for (int j = 0; j < 200; j++) {
                std::lock_guard<std::mutex> guard(mutex);
                all.push_back(own_text + std::to_string(j));
            }
        });
    }
    for (auto &thread : threads) thread.join();
    auto later = std::async(std::launch::async, [] { return std::string(200, 'a'); });
    std::promise<std::string> promise;
    std::thread giver([&] { promise.set_value(std::string(300, 'p')); });
    std::cout << all.size() << ' ' << later.get().size() << ' ' << promise.get_future().get().size() << '\n';
    giver.join();
}
CASE(detached_thread) {
    static std::atomic<bool> ready;
    std::thread([] {
        std::vector<int> numbers(1000);
        std::iota(numbers.begin(), numbers.end(), 0);
        ready = true;
        while (numbers[5] == 5) std::this_thread::sleep_for(std::chrono::seconds(10));
    }).detach();
    while (!ready) std::this_thread::yield();
}
CASE(bases_that_are_not_first) {
    static Right *volatile second = new Both();
    static Wide *volatile wide = new Wide[3];
    static std::string *volatile array = new std::string[4];
    CHECK(((uintptr_t)wide & 255) == 0);
    std::unique_ptr<Right> owned(new Both());
    std::shared_ptr<Left> shared(new Both());
    std::weak_ptr<Left> weak = shared;
    (void)second, (void)array;
}
CASE(all_forms_of_delete) {
    ::operator delete(::operator new(10));
    ::operator delete(::operator new(10), (size_t)10);
    ::operator delete[](::operator new[](10));
    ::operator delete[](::operator new[](10), (size_t)10);
    ::operator delete(::operator new(10, std::align_val_t(64)), std::align_val_t(64));
    ::operator delete(::operator new(10, std::align_val_t(64)), (size_t)10, std::align_val_t(64));
    ::operator delete[](::operator new[](10, std::align_val_t(64)), std::align_val_t(64));
    ::operator delete(::operator new(10, std::nothrow), std::nothrow);
    ::operator delete[](::operator new[](10, std::nothrow), std::nothrow);
    ::operator delete(nullptr);
    delete (Both *)nullptr;
    delete[] (std::string *)nullptr;
    for (size_t size = 0; size < 100; size++) ::operator delete(::operator new(size), size);
    Both *both = new Both();
    delete both;
    Left *left = new Both();
    delete left;
    Wide *wide = new Wide();
    delete wide;
    alignas(Both) char place[sizeof(Both)];
    Both *placed = new (place) Both();
    placed->~Both();
}
CASE(streams_and_patterns) {
    std::stringstream text;
    for (int i = 0; i < 500; i++) text << "word" << i << ' ' << i * 0.5 << '\n';
    std::string word;
    double number = 0, all = 0;
    while (text >> word >> number) all += number;
    std::regex pattern("([a-z]+)([0-9]+)");
    std::smatch found;
    CHECK(std::regex_match(word, found, pattern));
    std::cout << all << ' ' << found[2] << std::endl;
    std::locale::global(std::locale("C"));
}
CASE(resources) {
    std::pmr::monotonic_buffer_resource buffer(1000);
    std::pmr::unsynchronized_pool_resource pool(&buffer);
    std::pmr::vector<std::pmr::string> texts(&pool);
    for (int i = 0; i < 300; i++) texts.emplace_back((size_t)(i % 100), 'r');
    std::function<int(int)> twice = [texts = std::vector<int>(100, 2)](int i) { return texts[0] * i; };
    std::cout << twice(21) << '\n';
}
