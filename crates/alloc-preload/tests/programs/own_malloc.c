/* A program with a malloc of its own: a bump pointer that never frees. It leaves aligned_alloc and
   the rest to libc. */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Alignas(16) char memory[1 << 22];
static size_t used;

void *malloc(size_t size) {
    size_t start = __atomic_fetch_add(&used, (size + 31) & ~(size_t)15, __ATOMIC_RELAXED);
    if (sizeof memory < start + size + 16) return NULL;
    *(size_t *)(memory + start) = size;
    return memory + start + 16;
}

void free(void *block) { (void)block; }

void *calloc(size_t count, size_t size) { return malloc(count * size); }

void *realloc(void *block, size_t size) {
    void *moved = malloc(size);
    if (block && moved) {
        size_t old = *(size_t *)((char *)block - 16);
        memcpy(moved, block, old < size ? old : size);
    }
    return moved;
}

int main(void) {
    char *text = strdup("its own");
    if (text < memory || memory + sizeof memory <= text) return 1;
    text = realloc(text, 100);
    /* From libc, where nobody here answers: it is never freed, as it would break without us too. */
    void *aligned = aligned_alloc(4096, 10000);
    if (!aligned || malloc_usable_size(aligned) < 10000) return 2;
    void *place;
    if (posix_memalign(&place, 64, 64)) return 3;
    puts(text);
    free(text);
    return 0;
}
