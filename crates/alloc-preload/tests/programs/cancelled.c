/* A cancelled thread goes on to its next cancellation point; findings are told on the way, and no
   call of the family is one. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static char global[64];

static void *work(void *nothing) {
    pthread_cancel(pthread_self());
    char *volatile block = malloc(40);
    block[40] = 0;
    free(block); /* past the end */
    free(block); /* twice */
    char *volatile none = global;
    free(none); /* no block */
    pthread_testcancel();
    return nothing;
}

int main(void) {
    pthread_t thread;
    void *result = NULL;
    pthread_create(&thread, NULL, work, NULL);
    pthread_join(thread, &result);
    free(malloc(10));
    puts(result == PTHREAD_CANCELED ? "cancelled" : "went on");
    return 0;
}
