/* A library that a case opens and closes again. */
#include <stdlib.h>

static void *volatile kept;

void leak(void) {
    void *volatile lost = malloc(77);
    lost = NULL;
    (void)lost;
}
void keep(void) {
    kept = malloc(78);
}
void take(void *block) {
    free(block);
}
