/* Locks all memory, then allocates. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int main(void) {
    if (mlockall(MCL_CURRENT | MCL_FUTURE)) return puts("may not lock"), 0;
    for (int i = 1; i < 2000; i++) {
        char *block = malloc(7 * i);
        if (!block) return 1;
        memset(block, 1, 7 * i);
        free(block);
    }
    puts("locked");
    return 0;
}
