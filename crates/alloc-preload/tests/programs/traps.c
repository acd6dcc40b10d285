/* One access to memory that traps, in each place where a thread may be. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

/* Each thread's own: several do the same at once. */
static _Thread_local char *volatile p;
static volatile char sink;
static volatile int ended;

static char *block(void) {
    p = malloc(100);
    return p;
}

static char *freed(void) {
    free(block());
    return p;
}

static void read_after_free(void) { sink = freed()[50]; /* read_after_free */ }
static void write_after_free(void) { freed()[50] = 1; /* write_after_free */ }
static void read_past(void) { sink = block()[100]; /* read_past */ free(p); }
static void write_past(void) { block()[100] = 1; /* write_past */ free(p); }
static void read_before(void) { sink = block()[-1]; /* read_before */ free(p); }
static void write_before(void) { block()[-1] = 1; /* write_before */ free(p); }

static sigjmp_buf back;
static void jumps(int signal) { (void)signal; siglongjmp(back, 1); }

/* What stands there is executed once the page is open, or cannot be: either way a fault that is the
   program's own follows. */
static void jump(void) {
    signal(SIGSEGV, jumps);
    signal(SIGILL, jumps);
    void (*function)(void) = (void (*)(void))freed();
    if (!sigsetjmp(back, 1)) function(); /* jump */
}

static void touch(void) { sink = p[10]; /* the access */ }

static void block_all(void) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
}

static void blocked(void) { block_all(); freed(); touch(); }

static void *thread(void *arg) {
    if (arg) block_all();
    freed();
    touch();
    return NULL;
}

static void run_thread(void *arg, size_t size) {
    pthread_t id;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (size) pthread_attr_setstacksize(&attributes, size);
    pthread_create(&id, &attributes, thread, arg);
    pthread_join(id, NULL);
}

static void blocked_thread(void) { run_thread(&back, 0); }
static void small_thread(void) { run_thread(NULL, PTHREAD_STACK_MIN); }

static void many_threads(void) {
    pthread_t ids[8];
    for (int i = 0; i < 8; i++) pthread_create(&ids[i], NULL, thread, NULL);
    for (int i = 0; i < 8; i++) pthread_join(ids[i], NULL);
}

static ucontext_t outside, inside;

static void coroutine(void) {
    size_t size = 20000;
    freed();
    getcontext(&inside);
    inside.uc_stack.ss_sp =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    inside.uc_stack.ss_size = size;
    inside.uc_link = &outside;
    makecontext(&inside, touch, 0);
    swapcontext(&outside, &inside);
}

static void touches(int signal) { (void)signal; touch(); ended = 1; }

static void in_handler(void) {
    struct sigaction action = {.sa_handler = touches};
    freed();
    sigfillset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    if (!ended) puts("not handled");
}

static void touches_and_jumps(int signal) { touch(); jumps(signal); }

static void in_fault_handler(void) {
    freed();
    signal(SIGSEGV, touches_and_jumps);
    if (!sigsetjmp(back, 1)) *(volatile int *)16 = 1;
}

static void small_alternate(void) {
    stack_t stack = {.ss_size = MINSIGSTKSZ + 4096};
    stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaltstack(&stack, NULL);
    freed();
    touch();
}

static void ignored(void) { signal(SIGSEGV, SIG_IGN); freed(); touch(); }

static void never(int signal) { (void)signal; puts("called for a trap"); }
static void own_handler(void) { signal(SIGSEGV, never); freed(); touch(); }

static void in_libc(void) {
    char room[64];
    freed();
    memcpy(room, p, sizeof room); /* the copy */
    sink = room[3];
    freed();
    touch();
}

static void in_child(void) {
    freed();
    if (fork() == 0) {
        touch();
        exit(0);
    }
    wait(NULL);
}

static void interrupts_malloc(void) {
    signal(SIGALRM, touches);
    struct itimerval timer = {{0, 100}, {0, 100}};
    freed();
    setitimer(ITIMER_REAL, &timer, NULL);
    while (!ended)
        for (int i = 0; i < 100; i++) free(malloc(i));
    timer = (struct itimerval){{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

/* The mask that sigsetjmp saved leaves SIGSEGV open. */
static void after_sigsetjmp(void) {
    block_all();
    if (!sigsetjmp(back, 1)) siglongjmp(back, 1);
    freed();
    touch();
}

/* Waits with all other signals blocked until the handler has run, which touches. */
static void in_wait(void) {
    sigset_t usr1, but_usr1;
    struct timespec time = {10, 0};
    struct epoll_event event;
    int poll_ = epoll_create1(0);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigfillset(&but_usr1);
    sigdelset(&but_usr1, SIGUSR1);
    signal(SIGUSR1, touches);
    for (int i = 0; i < 3; i++) {
        sigprocmask(SIG_BLOCK, &usr1, NULL);
        raise(SIGUSR1);
        freed();
        ended = 0;
        int got = i == 0   ? ppoll(NULL, 0, &time, &but_usr1)
                  : i == 1 ? pselect(0, NULL, NULL, NULL, &time, &but_usr1)
                           : epoll_pwait(poll_, &event, 1, 10000, &but_usr1);
        if (got != -1 || errno != EINTR || !ended) puts("not interrupted");
    }
}

static void in_context(void) {
    volatile int is_back = 0;
    freed();
    getcontext(&inside);
    if (is_back) {
        touch();
        return;
    }
    is_back = 1;
    sigfillset(&inside.uc_sigmask);
    swapcontext(&outside, &inside);
}

static void asks_own_handler(void) {
    signal(SIGSEGV, jumps);
    freed();
    if (!sigsetjmp(back, 1)) touch();
    else puts("mine");
}

static void then_dies(void) {
    freed();
    touch();
    *(volatile int *)16 = 1;
}

#define CASES \
    X(read_after_free) X(write_after_free) X(read_past) X(write_past) X(read_before) X(write_before) \
    X(jump) X(blocked) X(blocked_thread) X(small_thread) X(many_threads) X(coroutine) X(in_handler) \
    X(in_fault_handler) X(small_alternate) X(ignored) X(own_handler) X(in_libc) X(in_child) \
    X(interrupts_malloc) X(after_sigsetjmp) X(in_wait) X(in_context) X(asks_own_handler) \
    X(then_dies)

int main(int argc, char **argv) {
    if (argc < 2) return 77;
#define X(name) if (!strcmp(argv[1], #name)) { name(); puts("done"); return 0; }
    CASES
    return 77;
}
