/* A block that only another thread leads to while the process ends. */
#define _GNU_SOURCE
#include <alloca.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_int ready;
static int case_;
enum { REGISTER, VECTOR, SLEEPER, BLOCKED, REFUSES };

static uintptr_t hidden(void) { return ~(uintptr_t)malloc(300); }

static void *thread(void *arg) {
    sigset_t all;
    sigfillset(&all);
    if (case_ == BLOCKED) pthread_sigmask(SIG_BLOCK, &all, NULL);
    /* libc leaves its own signals out of its sets. */
    if (case_ == REFUSES) memset(&all, 0xff, sizeof all);
    if (case_ == REFUSES) syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, NULL, 8);
    uintptr_t block = hidden();
    if (case_ == VECTOR) {
        __asm__ volatile("not %0\n movq %0, %%xmm9\n xor %0, %0\n movl $1, %1\n 1: pause\n jmp 1b"
                         : "+r"(block), "=m"(ready) :: "xmm9");
    } else if (case_ == SLEEPER) {
        uintptr_t *kept = alloca(64);
        *kept = ~block;
        ready = 1;
        for (;;) {
            unsigned left = sleep(1000);
            /* A sleep is cut short by a stop: nothing else may happen then. */
            if (left == 0 || *kept == 0) abort();
        }
    } else {
        __asm__ volatile("not %0\n mov %0, %%r12\n xor %0, %0\n movl $1, %1\n 1: pause\n jmp 1b"
                         : "+r"(block), "=m"(ready) :: "r12");
    }
    return arg;
}

int main(int argc, char **argv) {
    static const char *names[] = {"register", "vector", "sleeper", "blocked", "refuses"};
    for (int i = 0; i < 5; i++)
        if (argc == 2 && !strcmp(argv[1], names[i])) case_ = i;
    pthread_t id;
    pthread_create(&id, NULL, thread, NULL);
    while (!ready) usleep(1000);
    puts("done");
    return 0;
}
