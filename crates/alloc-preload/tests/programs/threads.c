/* Threads that leave blocks behind: to the main thread, and to destructors of thread-locals. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_key_t key;
static char *left[40][10];

/* Runs again for what it sets itself: frees come very late. */
static void destroy(void *value) {
    char *block = value;
    if (block[0] < 3) {
        char *next = malloc(30);
        memset(next, block[0] + 1, 30);
        pthread_setspecific(key, next);
    }
    free(block);
}

static void *leave(void *place) {
    char **blocks = place;
    for (int i = 0; i < 10; i++) memset(blocks[i] = malloc(100 * i + 1), 5, 100 * i + 1);
    char *own = malloc(30);
    memset(own, 0, 30);
    pthread_setspecific(key, own);
    return NULL;
}

int main(void) {
    pthread_key_create(&key, destroy);
    int count = 0;
    for (int round = 0; round < 4; round++) {
        pthread_t threads[10];
        for (int i = 0; i < 10; i++) pthread_create(&threads[i], NULL, leave, left[10 * round + i]);
        for (int i = 0; i < 10; i++) pthread_join(threads[i], NULL);
        for (int i = 0; i < 10; i++) {
            for (int j = 0; j < 10; j++) {
                char *block = left[10 * round + i][j];
                count += block[100 * j] == 5;
                free(block);
                left[10 * round + i][j] = NULL;
            }
        }
    }
    printf("%d blocks came back\n", count);
    return 0;
}
