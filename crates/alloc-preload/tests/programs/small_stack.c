/* Allocates, frees and fails on stacks of the least size. */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void *work(void *unused) {
    for (int i = 1; i < 3000; i++) {
        void *block = calloc(i, 3);
        block = realloc(block, 5 * i);
        free(block);
    }
    volatile size_t much = (size_t)1 << 62;
    if (malloc(much)) exit(1);
    return unused;
}

int main(void) {
    work(NULL);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 65536);
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        if (pthread_create(&threads[i], &attributes, work, NULL)) return 2;
    }
    for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
    puts("small stacks");
    return 0;
}
