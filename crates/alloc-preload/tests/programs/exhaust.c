/* Allocates until nothing is left, and frees. Then allocates again, unless the heap never uses an
   address twice: then there are no addresses left under the limit, and each request fails cleanly. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct block {
    struct block *next;
    char rest[100000];
};

int main(void) {
    struct block *all = NULL;
    const char *strategy = getenv("ALLOC_PRELOAD");
    int is_checked = strategy && !strcmp(strategy, "gpa");
    int count = 0;
    errno = 0;
    for (struct block *block; (block = malloc(sizeof *block)); all = block, count++) {
        block->next = all;
        block->rest[99999] = 1;
        if (10000 < count) return 1;
    }
    if (errno != ENOMEM || count < 100) return 2;
    for (struct block *next; all; all = next) {
        next = all->next;
        free(all);
    }
    for (int i = 0; i < 100; i++) {
        char *block = malloc(1000);
        if (!block && is_checked && errno == ENOMEM) continue;
        if (!block) return 3;
        memset(block, 1, 1000);
        free(block);
    }
    puts("exhausted, and alive");
    return 0;
}
