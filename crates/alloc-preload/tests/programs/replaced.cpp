// Replaces the first forms of operator new and delete by a pool; the other forms must reach them.
#include <cstdio>
#include <cstdlib>
#include <new>

static char pool[1 << 16];
static std::size_t used;
static int made, gone;

static bool is_pool(void *block) { return pool <= block && block < pool + sizeof pool; }

void *operator new(std::size_t size) {
    std::size_t start = (used + 15) & ~std::size_t(15);
    if (sizeof pool - start < size) throw std::bad_alloc();
    used = start + size;
    made++;
    return pool + start;
}

void operator delete(void *block) noexcept {
    if (!block) return;
    if (!is_pool(block)) std::abort();
    gone++;
}

struct Twelve {
    int values[3];
    virtual ~Twelve() {}
};

int main() {
    delete new int(3);
    delete[] new int[30];
    delete new Twelve;
    delete[] new Twelve[4];
    delete new (std::nothrow) int(3);
    delete[] new (std::nothrow) int[3];
    operator delete(operator new(10), std::size_t(10));
    operator delete[](operator new[](10), std::size_t(10));
    operator delete(operator new(10, std::nothrow), std::nothrow);
    operator delete[](operator new[](10, std::nothrow), std::nothrow);
    if (operator new(1 << 20, std::nothrow)) return 1;
    operator delete(operator new(10));
    // Those with an alignment are not replaced: they come from the library.
    operator delete(operator new(100, std::align_val_t(64)), std::align_val_t(64));
    operator delete[](operator new[](100, std::align_val_t(64)), 100, std::align_val_t(64));
    if (made != gone) return 2;
    std::printf("%d of its own\n", made);
}
