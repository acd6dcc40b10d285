/* A library that allocates when it is opened and closed, and has thread-locals of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Large, so that no room for it is left in the static block. */
static __thread char local[100000];
static char *kept;

__attribute__((constructor)) static void opened(void) {
    kept = malloc(1000);
    memset(kept, 1, 1000);
#ifndef QUIET
    puts("plugin open");
#endif
}

__attribute__((destructor)) static void closed(void) {
    free(kept);
#ifndef QUIET
    puts("plugin closed");
#endif
}

int touch(int value) {
    memset(local, value, sizeof local);
    char *block = malloc(500);
    memcpy(block, local, 500);
    int sum = 0;
    for (int i = 0; i < 500; i++) sum += block[i];
    free(block);
    return sum + 500 * value;
}
