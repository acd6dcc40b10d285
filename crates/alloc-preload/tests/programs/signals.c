/* A timer's handler allocates while the program does. The C standard forbids it; programs do it.
   Under glibc it would hang, so there the handler leaves interrupted calls alone. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

static atomic_int count;
static volatile int inside;
static int is_checked;

static void handler(int signal) {
    (void)signal;
    count++;
    if (inside && !is_checked) return;
    char *block = malloc(200);
    memset(block, 1, 200);
    block = realloc(block, 2000);
    free(block);
}

int main(void) {
    const char *strategy = getenv("ALLOC_PRELOAD");
    is_checked = strategy && !strcmp(strategy, "gpa");
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval timer = {{0, 200}, {0, 200}};
    setitimer(ITIMER_REAL, &timer, NULL);
    while (count < 2000) {
        void *blocks[20];
        inside = 1;
        for (int i = 0; i < 20; i++) blocks[i] = malloc(20 * i);
        for (int i = 0; i < 20; i++) blocks[i] = realloc(blocks[i], 30 * i + 1);
        for (int i = 0; i < 20; i++) free(blocks[i]);
        inside = 0;
    }
    timer = (struct itimerval){{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &timer, NULL);
    puts("interrupted");
    return 0;
}
