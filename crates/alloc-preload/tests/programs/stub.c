/* Takes the addresses of malloc and free, and calls through them. In a program at a fixed address
   the addresses are those of stubs in the program. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    void (*volatile release)(void *) = free;
    void *(*volatile get)(size_t) = malloc;
    void *block = get(100);
    release(block);
    if (1 < argc) release(block);
    puts("freed");
    return 0;
}
