// A program with a malloc of its own, and C++'s operators over it.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

alignas(4096) static char memory[1 << 22];
static std::size_t used;

static bool is_own(const void *block) { return memory <= block && block < memory + sizeof memory; }

extern "C" void *malloc(std::size_t size) {
    std::size_t start = __atomic_fetch_add(&used, (size + 31) & ~std::size_t(15), __ATOMIC_RELAXED);
    if (sizeof memory < start + 32 || sizeof memory - start - 32 < size) return nullptr;
    std::memcpy(memory + start, &size, sizeof size);
    return memory + start + 16;
}

extern "C" void free(void *block) {
    if (block && !is_own(block)) std::abort();
}

extern "C" void *calloc(std::size_t count, std::size_t size) { return malloc(count * size); }

extern "C" void *realloc(void *block, std::size_t size) {
    void *moved = malloc(size);
    if (block && moved) {
        std::size_t old;
        std::memcpy(&old, static_cast<char *>(block) - 16, sizeof old);
        std::memcpy(moved, block, old < size ? old : size);
    }
    return moved;
}

extern "C" void *aligned_alloc(std::size_t align, std::size_t size) {
    std::size_t address = reinterpret_cast<std::size_t>(malloc(size + align));
    return reinterpret_cast<void *>((address + align - 1) & ~(align - 1));
}

struct alignas(64) Wide {
    char bytes[64];
};

int main() {
    std::vector<std::string> words;
    for (int i = 0; i < 100; i++) words.push_back(std::string(i, 'x'));
    int *number = new int(3), *numbers = new int[30];
    Wide *wide = new Wide;
    void *quiet = operator new(10, std::nothrow);
    if (!is_own(words.data()) || !is_own(number) || !is_own(numbers) || !is_own(wide)) return 1;
    if (!is_own(quiet) || operator new(1 << 23, std::nothrow)) return 2;
    try {
        operator delete(operator new(1 << 23));
        return 3;
    } catch (const std::bad_alloc &) {
    }
    delete number;
    delete[] numbers;
    delete wide;
    operator delete(quiet, std::nothrow);
    std::puts("all its own");
}
