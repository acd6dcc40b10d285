/* A timer's handler allocates while the program forks, or forks while the program allocates. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t count;

static void split(void) {
    pid_t child = fork();
    if (child == 0) {
        free(malloc(100));
        _exit(0);
    }
    while (waitpid(child, NULL, 0) < 0) continue;
}

static void allocates(int signal) {
    for (int i = 0; i < 3; i++) free(malloc(signal));
    count++;
}

static void forks(int signal) {
    if (signal == SIGALRM) split();
    count++;
}

static void set_timer(int microseconds) {
    struct itimerval timer = {{0, microseconds}, {0, microseconds}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

int main(int argc, char **argv) {
    int handler_forks = argc == 2 && !strcmp(argv[1], "handler-forks");
    struct sigaction action = {.sa_flags = SA_RESTART};
    action.sa_handler = handler_forks ? forks : allocates;
    sigaction(SIGALRM, &action, NULL);
    set_timer(3000);
    void *blocks[64] = {NULL};
    for (unsigned step = 1; count < 100; step++) {
        if (!handler_forks) split();
        unsigned place = step * 7919 % 64;
        free(blocks[place]);
        blocks[place] = malloc(step * 31 % 9000);
    }
    set_timer(0);
    for (int i = 0; i < 64; i++) free(blocks[i]);
    puts("ended");
    return 0;
}
