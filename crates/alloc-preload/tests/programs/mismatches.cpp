// One block for each name that another function frees than its family's; `at NAME` marks the lines
// that its report must name.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#define HIDDEN __attribute__((noinline)) static
using Block = void *volatile;
static const auto wide = std::align_val_t(64);
static const auto wider = std::align_val_t(128);

HIDDEN void malloc_delete() {
    Block p = malloc(100); // at malloc_delete
    operator delete(p); // at malloc_delete
}
HIDDEN void malloc_delete_array() {
    Block p = malloc(100); // at malloc_delete_array
    operator delete[](p); // at malloc_delete_array
}
HIDDEN void new_free() {
    Block p = operator new(100); // at new_free
    free(p); // at new_free
}
HIDDEN void new_array_free() {
    Block p = operator new[](100); // at new_array_free
    free(p); // at new_array_free
}
HIDDEN void new_delete_array() {
    Block p = operator new(100); // at new_delete_array
    operator delete[](p); // at new_delete_array
}
HIDDEN void new_array_delete() {
    Block p = new char[100]; // at new_array_delete
    operator delete(p); // at new_array_delete
}
HIDDEN void new_array_delete_sized() {
    Block p = operator new[](100, std::nothrow); // at new_array_delete_sized
    operator delete(p, std::size_t(8)); // at new_array_delete_sized
}
HIDDEN void new_realloc() {
    Block p = operator new(100); // at new_realloc
    Block q = realloc(p, 200); // at new_realloc
    operator delete(q);
}
HIDDEN void aligned_plain() {
    Block p = operator new(100, wide); // at aligned_plain
    operator delete(p); // at aligned_plain
}
HIDDEN void aligned_plain_sized() {
    Block p = operator new[](100, wide); // at aligned_plain_sized
    operator delete[](p, std::size_t(100)); // at aligned_plain_sized
}
HIDDEN void aligned_free() {
    Block p = operator new(100, wide); // at aligned_free
    free(p); // at aligned_free
}
HIDDEN void aligned_alloc_delete() {
    Block p = aligned_alloc(64, 128); // at aligned_alloc_delete
    operator delete(p, wide); // at aligned_alloc_delete
}
HIDDEN void plain_aligned() {
    Block p = operator new(100); // at plain_aligned
    operator delete(p, wide); // at plain_aligned
}
HIDDEN void aligned_other() {
    Block p = operator new(100, wide); // at aligned_other
    operator delete(p, wider); // at aligned_other
}
HIDDEN void size_other() {
    Block p = operator new(100); // at size_other
    operator delete(p, std::size_t(8)); // at size_other
}
HIDDEN void size_other_array() {
    Block p = operator new[](100); // at size_other_array
    operator delete[](p, std::size_t(104)); // at size_other_array
}
HIDDEN void past_zero() {
    volatile char *volatile p = new char[0]; // at past_zero
    p[0] = 1;
    delete[] p; // at past_zero
}
HIDDEN void twice() {
    Block p = operator new(100); // at twice
    operator delete(p); // at twice
    operator delete(p); // at twice
}
HIDDEN void absurd() {
    volatile std::size_t size = -100;
    Block p = operator new[](size, std::nothrow); // at absurd
    operator delete[](p, std::nothrow);
}
HIDDEN void none() {
    // Alike: what differs is of no consequence.
    void *p;
    if (posix_memalign(&p, 64, 100)) std::exit(1);
    free(p);
    free(aligned_alloc(64, 128));
    free(realloc(aligned_alloc(64, 128), 10));
    operator delete(operator new(10, std::align_val_t(8)));
    operator delete(operator new(10), std::align_val_t(8));
    operator delete[](operator new[](10, std::nothrow));
    operator delete(operator new(10, wide, std::nothrow), 10, wide);
    // A leak, so that there is something to tell.
    Block lost = malloc(100); // at none
    lost = nullptr;
    (void)lost;
}

static const struct {
    const char *name;
    void (*run)();
} KINDS[] = {
    {"malloc_delete", malloc_delete},                   // expect: allocated by malloc, freed by operator delete
    {"malloc_delete_array", malloc_delete_array},       // expect: allocated by malloc, freed by operator delete[]
    {"new_free", new_free},                             // expect: allocated by operator new, freed by free
    {"new_array_free", new_array_free},                 // expect: allocated by operator new[], freed by free
    {"new_delete_array", new_delete_array},             // expect: allocated by operator new, freed by operator delete[]
    {"new_array_delete", new_array_delete},             // expect: allocated by operator new[], freed by operator delete
    {"new_array_delete_sized", new_array_delete_sized}, // expect: allocated by operator new[], freed by operator delete
    {"new_realloc", new_realloc},                       // expect: allocated by operator new, resized by realloc
    {"aligned_plain", aligned_plain},                   // expect: allocated by operator new with alignment 64, freed by operator delete without one
    {"aligned_plain_sized", aligned_plain_sized},       // expect: allocated by operator new[] with alignment 64, freed by operator delete[] without one
    {"aligned_free", aligned_free},                     // expect: allocated by operator new, freed by free
    {"aligned_alloc_delete", aligned_alloc_delete},     // expect: allocated by malloc, freed by operator delete
    {"plain_aligned", plain_aligned},                   // expect: wrong alignment: 64 given for a 100-byte block aligned to 16
    {"aligned_other", aligned_other},                   // expect: wrong alignment: 128 given for a 100-byte block aligned to 64
    {"size_other", size_other},                         // expect: wrong size: 8 bytes given for a 100-byte block
    {"size_other_array", size_other_array},             // expect: wrong size: 104 bytes given for a 100-byte block
    {"past_zero", past_zero},                           // expect: write past the end of a 0-byte block
    {"twice", twice},                                   // expect: double free
    {"absurd", absurd},                                 // expect: -100 as a signed number
    {"none", none},                                     // expect: 1 leak
};

int main(int, char **argv) {
    for (const auto &kind : KINDS) {
        if (std::strcmp(argv[1], kind.name)) continue;
        kind.run();
        std::puts("ended");
    }
    return 5;
}
