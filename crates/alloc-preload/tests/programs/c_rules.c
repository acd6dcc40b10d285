/* The rules of malloc(3), posix_memalign(3) and malloc_usable_size(3), one check each. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Names that the system's libc does not offer to new programs. */
static void (*old_free)(void *);
static void (*free_of_size)(void *, size_t);
static void (*free_of_both)(void *, size_t, size_t);

enum { MARK = 4242 };
static volatile size_t huge = SIZE_MAX;
static volatile size_t third = (size_t)1 << 33;
static volatile size_t above = (size_t)PTRDIFF_MAX + 1;

#define CHECK(condition)                                             \
    do {                                                             \
        if (!(condition)) {                                          \
            printf("line %d: %s (errno %d)\n", __LINE__, #condition, errno); \
            exit(1);                                                 \
        }                                                            \
    } while (0)

#define FAILS(call, error)    \
    do {                      \
        errno = MARK;         \
        CHECK((call) == NULL); \
        CHECK(errno == error); \
    } while (0)

static void failures(void) {
    FAILS(malloc(huge), ENOMEM);
    FAILS(malloc(above), ENOMEM);
    FAILS(calloc(huge, 2), ENOMEM);
    FAILS(calloc(above, 1), ENOMEM);
    FAILS(calloc(third, third), ENOMEM);
    FAILS(realloc(NULL, above), ENOMEM);
    FAILS(reallocarray(NULL, third, third), ENOMEM);
    FAILS(aligned_alloc(64, above), ENOMEM);
    FAILS(memalign(64, above), ENOMEM);
    FAILS(valloc(above), ENOMEM);
    FAILS(pvalloc(huge), ENOMEM);
    FAILS(aligned_alloc(24, 8), EINVAL);
    FAILS(memalign(huge, 8), EINVAL);
    char *block = malloc(100);
    memset(block, 7, 100);
    FAILS(realloc(block, above), ENOMEM);
    FAILS(reallocarray(block, third, third), ENOMEM);
    for (int i = 0; i < 100; i++) CHECK(block[i] == 7);
    free(block);
}

static void posix(void) {
    void *place = &place;
    errno = MARK;
    CHECK(posix_memalign(&place, 3, 8) == EINVAL);
    CHECK(posix_memalign(&place, 0, 8) == EINVAL);
    CHECK(posix_memalign(&place, 24, 8) == EINVAL);
    CHECK(posix_memalign(&place, 4, 8) == EINVAL);
    CHECK(posix_memalign(&place, 64, above) == ENOMEM);
    CHECK(place == &place);
    for (size_t align = sizeof(void *); align <= 1 << 21; align *= 2) {
        CHECK(posix_memalign(&place, align, 100) == 0);
        CHECK((uintptr_t)place % align == 0);
        memset(place, 1, 100);
        free(place);
    }
    CHECK(errno == MARK);
}

static void successes(void) {
    errno = MARK;
    void *a = malloc(0), *b = malloc(0);
    CHECK(a && b && a != b);
    free(a);
    old_free(b);
    free(NULL);
    CHECK(malloc_usable_size(NULL) == 0);
    for (size_t size = 1; size < 1 << 22; size = size * 3 + 1) {
        char *block = malloc(size);
        CHECK((uintptr_t)block % 16 == 0);
        size_t usable = malloc_usable_size(block);
        CHECK(size <= usable);
        memset(block, 1, usable);
        block = realloc(block, 2 * usable);
        for (size_t i = 0; i < usable; i++) CHECK(block[i] == 1);
        block = realloc(block, 1);
        CHECK(block[0] == 1);
        CHECK(realloc(block, 0) == NULL);
        char *zero = calloc(size, 1);
        for (size_t i = 0; i < size; i++) CHECK(zero[i] == 0);
        free_of_size(zero, size);
    }
    for (size_t align = 1; align <= 1 << 20; align *= 2) {
        char *block = aligned_alloc(align, 100);
        CHECK((uintptr_t)block % align == 0);
        memset(block, 9, 100);
        block = realloc(block, 5000);
        for (int i = 0; i < 100; i++) CHECK(block[i] == 9);
        free(block);
        free_of_both(aligned_alloc(align, 64), align, 64);
    }
    CHECK((uintptr_t)(a = memalign(48, 10)) % 64 == 0);
    free(a);
    size_t page = sysconf(_SC_PAGESIZE);
    CHECK((uintptr_t)(a = valloc(1)) % page == 0);
    free(a);
    CHECK((uintptr_t)(a = pvalloc(page + 1)) % page == 0);
    CHECK(2 * page <= malloc_usable_size(a));
    memset(a, 1, 2 * page);
    free(a);
    CHECK(errno == MARK);
}

int main(void) {
    old_free = (void (*)(void *))dlsym(RTLD_DEFAULT, "cfree");
    free_of_size = (void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
    free_of_both = (void (*)(void *, size_t, size_t))dlsym(RTLD_DEFAULT, "free_aligned_sized");
    CHECK(old_free && free_of_size && free_of_both);
    failures();
    posix();
    successes();
    puts("all rules are kept");
    return 0;
}
