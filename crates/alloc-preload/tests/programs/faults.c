#include <stdio.h>
#include <stdlib.h>
static void leak(size_t size) { char *volatile leaked = malloc(size); leaked[0] = 1; leaked = 0; }
int main(void) {
    for (int i = 0; i < 3; i++) leak(100);
    char *volatile twice = malloc(64);
    free(twice);
    free(twice); /* the second time */
    char *volatile late = malloc(32);
    free(late); late[3] = 'x';
    return puts("done") < 0;
}
