// Every form of operator new and delete, with memory and without.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

static volatile std::size_t huge = SIZE_MAX / 2 - 4096;
static int asked;

struct alignas(256) Wide {
    char bytes[300];
};

static void check(bool condition, int line) {
    if (!condition) {
        std::printf("line %d\n", line);
        std::exit(1);
    }
}
#define CHECK(condition) check((condition), __LINE__)

static void *use(void *block, std::size_t size, std::size_t align) {
    CHECK(block && reinterpret_cast<std::uintptr_t>(block) % align == 0);
    return std::memset(block, 1, size);
}

static void all_forms() {
    const auto wide = std::align_val_t(1024);
    for (std::size_t size : {0, 1, 24, 4096, 200000}) {
        operator delete(use(operator new(size), size, 16));
        operator delete(use(operator new(size), size, 16), size);
        operator delete(use(operator new(size, std::nothrow), size, 16), std::nothrow);
        operator delete[](use(operator new[](size), size, 16));
        operator delete[](use(operator new[](size), size, 16), size);
        operator delete[](use(operator new[](size, std::nothrow), size, 16), std::nothrow);
        operator delete(use(operator new(size, wide), size, 1024), wide);
        operator delete(use(operator new(size, wide), size, 1024), size, wide);
        operator delete(use(operator new(size, wide, std::nothrow), size, 1024), wide, std::nothrow);
        operator delete[](use(operator new[](size, wide), size, 1024), wide);
        operator delete[](use(operator new[](size, wide), size, 1024), size, wide);
        operator delete[](use(operator new[](size, wide, std::nothrow), size, 1024), wide, std::nothrow);
    }
    operator delete(nullptr);
    operator delete[](nullptr, std::size_t(8), wide);
    delete new Wide;
    delete[] new Wide[5];
    delete[] new std::string[50];
    std::vector<std::string> words(1000, "a text that is too long for its object");
    words.resize(3000);
    std::puts("all forms");
}

template <class F> static bool throws(F make) {
    try {
        operator delete(make());
        return false;
    } catch (const std::bad_alloc &) {
        return true;
    }
}

static void none_left() { throw std::runtime_error("handler"); }

static void gives_up() {
    if (++asked == 3) std::set_new_handler(nullptr);
}

static void without_memory() {
    const auto wide = std::align_val_t(64);
    CHECK(throws([] { return operator new(huge); }));
    CHECK(throws([] { return operator new[](huge); }));
    CHECK(throws([=] { return operator new(huge, wide); }));
    CHECK(throws([=] { return operator new[](huge, wide); }));
    CHECK(throws([] { return operator new(SIZE_MAX); }));
    CHECK(!operator new(huge, std::nothrow));
    CHECK(!operator new[](huge, std::nothrow));
    CHECK(!operator new(huge, wide, std::nothrow));
    CHECK(!operator new[](huge, wide, std::nothrow));

    // The handler is called until it gives up, or throws what it likes.
    std::set_new_handler(gives_up);
    CHECK(throws([] { return operator new(huge); }) && asked == 3);
    asked = 0;
    std::set_new_handler(gives_up);
    CHECK(!operator new(huge, std::nothrow) && asked == 3);
    std::set_new_handler(none_left);
    try {
        operator delete(operator new(huge));
        CHECK(false);
    } catch (const std::runtime_error &error) {
        CHECK(!std::strcmp(error.what(), "handler"));
    }
    CHECK(!operator new(huge, wide, std::nothrow));
    std::set_new_handler(nullptr);
    std::puts("handlers");
}

struct Guard {
    int &count;
    ~Guard() { ++count; }
};

int main() {
    all_forms();
    without_memory();
    int unwound = 0;
    try {
        Guard guard{unwound};
        std::vector<char> much(huge / 2);
        CHECK(false);
    } catch (const std::bad_alloc &) {
        CHECK(unwound == 1);
    }
    std::puts("caught");
}
