/* Loses a block. */
#include <stdio.h>
#include <stdlib.h>

static void leak(void) {
    char *volatile lost = malloc(1000);
    lost[0] = 1;
    lost = 0;
}

int main(void) {
    leak();
    puts("done");
    return 0;
}
