/* Forks 30 times while three threads allocate; each child allocates, forks once more, and ends. The
   threads pause now and then, unless an argument is given: a heap that keeps records of all its blocks
   makes each fork dearer. A child that hangs is ended. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_int done;
static int is_busy;

static void work(int rounds) {
    for (int round = 0; round < rounds; round++) {
        char *blocks[40];
        for (int i = 0; i < 40; i++) memset(blocks[i] = malloc(17 * i + 1), i, 17 * i + 1);
        for (int i = 0; i < 40; i++) blocks[i] = realloc(blocks[i], 60 * i + 1);
        for (int i = 0; i < 40; i++) free(blocks[i]);
    }
}

static void *allocate(void *unused) {
    while (!done) {
        work(4);
        if (!is_busy) usleep(500);
    }
    return unused;
}

int main(int argc, char **argv) {
    (void)argv;
    is_busy = argc > 1;
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, allocate, NULL);
    int ended = 0;
    for (int i = 0; i < 30; i++) {
        char *block = malloc(100);
        pid_t child = fork();
        if (child == 0) {
            alarm(300);
            work(3);
            free(block);
            pid_t grandchild = fork();
            if (grandchild == 0) _exit(0);
            int status;
            waitpid(grandchild, &status, 0);
            _exit(status == 0 ? 0 : 1);
        }
        free(block);
        int status;
        if (waitpid(child, &status, 0) == child && status == 0) ended++;
    }
    done = 1;
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    printf("%d children\n", ended);
    return 0;
}
