/* A library that frees a block twice. The second of its kind does it some bytes further on: stacks
   of the same addresses are one stack. */
#include <stdlib.h>

const char padding[1 << 20] = {1};
void *volatile last;

void twice(void) {
    last = malloc(10);
#ifdef SECOND
    last = realloc(last, 5);
#endif
    free(last);
    free(last);
}
