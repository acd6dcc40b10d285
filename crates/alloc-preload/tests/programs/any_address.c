/* Gives addresses to free and realloc that are no blocks. */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static int data[10] = {1};
static char zero[1 << 16];

static void release(void *volatile address) { free(address); }

int main(void) {
    int local[4];
    char *block = malloc(100);
    char *mapped = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    release(block + 16);
    release(local);
    release(data + 4);
    release(zero + 30000);
    release(mapped + 512);
    release((void *)(uintptr_t)0x1230);
    release((void *)(uintptr_t)-64);
    release((void *)(uintptr_t)1 + (1ul << 62));
    if (realloc(mapped + 1024, 50)) return 1;
    if (malloc_usable_size(mapped)) return 2;
    munmap(mapped, 1 << 16);
    free(block);
    puts("alive");
    return 0;
}
