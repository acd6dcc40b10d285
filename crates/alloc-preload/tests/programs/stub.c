/* Takes the address of free, and calls through it. */
#include <stdio.h>
#include <stdlib.h>

static void (*volatile release)(void *) = free;
static void *(*volatile get)(size_t) = malloc;

int main(int argc, char **argv) {
    void *block = get(100);
    release(block);
    if (1 < argc) release(block);
    puts("freed");
    return 0;
}
