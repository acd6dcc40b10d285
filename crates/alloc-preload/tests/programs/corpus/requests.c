/* Requests that cannot be meant: notes, which change no exit status. */
#define _GNU_SOURCE
#include "corpus.h"

#include <malloc.h>

HIDDEN void none(void *p) {
    if (p) abort();
}

CASE(malloc_negative) { // request 18446744073709551615
    volatile int length = -1;
    none(malloc((size_t)length)); // at
}
CASE(malloc_of_difference) { // request 18446744073709551606
    volatile size_t have = 10, want = 20;
    none(malloc(have - want)); // at
}
CASE(calloc_overflows) {
    volatile size_t count = SIZE_MAX / 2;
    none(calloc(count, 4)); // at
}
CASE(realloc_negative) { // request 18446744073709551604
    volatile int length = -12;
    char *p = malloc(10);
    none(realloc(p, (size_t)length)); // at
    free(p);
}
CASE(reallocarray_overflows) {
    volatile size_t count = SIZE_MAX / 4;
    char *p = malloc(10);
    none(reallocarray(p, count, 8)); // at
    free(p);
}
CASE(posix_memalign_of_3) {
    void *p = NULL;
    volatile size_t align = 3;
    if (!posix_memalign(&p, align, 100)) abort(); // at
}
CASE(aligned_alloc_of_huge) { // request 18446744073709551611
    volatile int length = -5;
    none(aligned_alloc(64, (size_t)length)); // at
}
