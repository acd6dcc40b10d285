/* Programs that take faults and other signals into their own hands, as they may. No case has a fault. */
#define _GNU_SOURCE
#include "corpus.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define CHECK(condition)                                            \
    do {                                                            \
        if (!(condition)) {                                         \
            printf("line %d: not %s\n", __LINE__, #condition);      \
            _exit(99);                                              \
        }                                                           \
    } while (0)

static char *area;
static volatile int count;
static sigjmp_buf back;

HIDDEN void set(int number, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {.sa_flags = SA_SIGINFO | flags};
    action.sa_sigaction = handler;
    sigemptyset(&action.sa_mask);
    CHECK(sigaction(number, &action, NULL) == 0);
}
static void work(void) {
    for (size_t i = 0; i < 3000; i++) {
        char *volatile p = malloc(i % 700);
        free(p);
    }
}

/* A write barrier: the page is opened at the first write. */
static void open_page(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    char *page = (char *)((uintptr_t)info->si_addr & ~(uintptr_t)4095);
    CHECK(info->si_code == SEGV_ACCERR);
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
    count++;
}
CASE(write_barrier) {
    area = mmap(NULL, 16 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    set(SIGSEGV, open_page, 0);
    for (int i = 0; i < 16; i += 2) ((volatile char *)area)[i * 4096 + 5] = 1;
    work();
    printf("%d\n", count);
}
CASE(write_barrier_in_heap) {
    area = aligned_alloc(4096, 8 * 4096);
    memset(area, 1, 8 * 4096);
    set(SIGSEGV, open_page, 0);
    CHECK(mprotect(area, 8 * 4096, PROT_READ) == 0);
    for (int i = 0; i < 8; i++) ((volatile char *)area)[i * 4096 + 100] = 2;
    for (int i = 0; i < 8; i++) CHECK(area[i * 4096 + 100] == 2 && area[i * 4096 + 99] == 1);
    free(area);
    printf("%d\n", count);
}
static void jump(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    count++;
    siglongjmp(back, number);
}
CASE(jumps_out_of_null) {
    set(SIGSEGV, jump, 0);
    for (int i = 0; i < 5; i++) {
        if (sigsetjmp(back, 1) == 0) {
            volatile char *volatile p = NULL;
            *p = 1;
        }
        work();
    }
    printf("%d\n", count);
}
CASE(jumps_out_without_mask) {
    set(SIGSEGV, jump, SA_NODEFER);
    for (int i = 0; i < 5; i++) {
        if (sigsetjmp(back, 0) == 0) {
            volatile char *volatile p = (char *)16;
            *p = 1;
        }
        work();
    }
    printf("%d\n", count);
}
CASE(guard_page_of_own) {
    area = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(area + 4096, 4096, PROT_NONE);
    set(SIGSEGV, jump, 0);
    if (sigsetjmp(back, 1) == 0) {
        for (int i = 0; i < 8192; i++) ((volatile char *)area)[i] = 1;
    }
    CHECK(area[4095] == 1 && area[8192] == 0);
    printf("%d\n", count);
}
NOINLINE int overflow(int depth) {
    volatile char frame[4096];
    frame[0] = (char)depth;
    return depth < 1 << 30 ? overflow(depth + 1) + frame[0] : 0;
}
CASE(stack_overflow_is_caught) {
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    CHECK(sigaltstack(&stack, NULL) == 0);
    set(SIGSEGV, jump, SA_ONSTACK);
    for (int i = 0; i < 3; i++) {
        if (sigsetjmp(back, 1) == 0) sum = overflow(0);
        work();
    }
    stack_t none = {.ss_flags = SS_DISABLE}, old;
    CHECK(sigaltstack(&none, &old) == 0);
    CHECK(old.ss_sp == stack.ss_sp && old.ss_size == 65536);
    free(stack.ss_sp);
    printf("%d\n", count);
}
static void *overflow_in_thread(void *unused) {
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536}, none = {.ss_flags = SS_DISABLE};
    sigaltstack(&stack, NULL);
    if (sigsetjmp(back, 1) == 0) sum = overflow(0);
    sigaltstack(&none, NULL);
    free(stack.ss_sp);
    return unused;
}
CASE(stack_overflow_of_thread_is_caught) {
    pthread_t thread;
    pthread_attr_t attr;
    set(SIGSEGV, jump, SA_ONSTACK);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 200000);
    pthread_create(&thread, &attr, overflow_in_thread, NULL);
    pthread_join(thread, NULL);
    printf("%d\n", count);
}
CASE(stack_overflow_kills) {
    pid_t child = fork();
    int status;
    if (child == 0) {
        sum = overflow(0);
        _exit(0);
    }
    waitpid(child, &status, 0);
    printf("%d\n", WTERMSIG(status));
}
CASE(null_kills) {
    pid_t child = fork();
    int status;
    if (child == 0) {
        volatile char *volatile p = NULL;
        sum = *p;
        _exit(0);
    }
    waitpid(child, &status, 0);
    printf("%d\n", WTERMSIG(status));
    volatile char *volatile p = NULL;
    sum = *p;
}
CASE(reset_after_one) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        set(SIGSEGV, jump, SA_RESETHAND);
        for (int i = 0; i < 2; i++) {
            if (sigsetjmp(back, 1) == 0) {
                volatile char *volatile p = NULL;
                *p = 1;
            }
            printf("caught %d\n", count);
        }
        _exit(0);
    }
    waitpid(child, &status, 0);
    printf("%d\n", WTERMSIG(status));
}
CASE(ignored_fault_kills) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_IGN);
        raise(SIGSEGV);
        kill(getpid(), SIGSEGV);
        puts("ignored");
        volatile char *volatile p = NULL;
        *p = 1;
        _exit(0);
    }
    waitpid(child, &status, 0);
    printf("%d\n", WTERMSIG(status));
}
CASE(blocked_fault_kills) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        sigset_t set_of_it;
        set(SIGSEGV, jump, 0);
        sigemptyset(&set_of_it);
        sigaddset(&set_of_it, SIGSEGV);
        sigprocmask(SIG_BLOCK, &set_of_it, NULL);
        volatile char *volatile p = NULL;
        *p = 1;
        _exit(0);
    }
    waitpid(child, &status, 0);
    printf("%d\n", WTERMSIG(status));
}
static void plain(int number) { count += number; }
CASE(sees_what_it_set) {
    struct sigaction old;
    sigset_t mask, blocked;
    const int numbers[] = {SIGSEGV, SIGBUS, SIGABRT, SIGUSR1};
    for (int i = 0; i < 4; i++) {
        CHECK(sigaction(numbers[i], NULL, &old) == 0);
        CHECK(old.sa_handler == SIG_DFL && (old.sa_flags & SA_SIGINFO) == 0);
        struct sigaction mine = {.sa_handler = plain, .sa_flags = SA_RESTART | SA_NODEFER};
        sigemptyset(&mine.sa_mask);
        sigaddset(&mine.sa_mask, SIGUSR2);
        CHECK(sigaction(numbers[i], &mine, &old) == 0 && old.sa_handler == SIG_DFL);
        CHECK(sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == plain);
        CHECK((old.sa_flags & ~0x04000000) == (SA_RESTART | SA_NODEFER));
        CHECK(sigismember(&old.sa_mask, SIGUSR2) == 1 && sigismember(&old.sa_mask, SIGUSR1) == 0);
        raise(numbers[i]);
        CHECK(signal(numbers[i], SIG_IGN) == plain);
        CHECK(signal(numbers[i], SIG_DFL) == SIG_IGN);
    }
    sigfillset(&mask);
    CHECK(sigprocmask(SIG_BLOCK, &mask, NULL) == 0);
    CHECK(sigprocmask(SIG_BLOCK, NULL, &blocked) == 0);
    CHECK(sigismember(&blocked, SIGSEGV) == 1 && sigismember(&blocked, SIGBUS) == 1);
    CHECK(sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGKILL) == 0);
    sigdelset(&mask, SIGSEGV);
    CHECK(pthread_sigmask(SIG_SETMASK, &mask, &blocked) == 0);
    CHECK(sigismember(&blocked, SIGSEGV) == 1);
    CHECK(pthread_sigmask(SIG_UNBLOCK, &mask, &blocked) == 0);
    CHECK(sigismember(&blocked, SIGSEGV) == 0 && sigismember(&blocked, SIGBUS) == 1);
    stack_t stack;
    CHECK(sigaltstack(NULL, &stack) == 0 && (stack.ss_flags & SS_DISABLE));
    printf("%d\n", count);
}
CASE(blocked_signal_waits) {
    sigset_t mask, pending;
    set(SIGSEGV, jump, 0);
    sigemptyset(&mask);
    sigaddset(&mask, SIGSEGV);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    if (sigsetjmp(back, 1) == 0) {
        raise(SIGSEGV);
        CHECK(sigpending(&pending) == 0);
        CHECK(count == 0 && sigismember(&pending, SIGSEGV) == 1);
        sigprocmask(SIG_UNBLOCK, &mask, NULL);
        CHECK(0);
    }
    printf("%d\n", count);
}
CASE(bus_error_is_caught) {
    int file = memfd_create("short", 0);
    CHECK(ftruncate(file, 8192) == 0);
    area = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    CHECK(ftruncate(file, 0) == 0);
    set(SIGBUS, jump, 0);
    if (sigsetjmp(back, 1) == 0) sum = ((volatile char *)area)[100];
    work();
    printf("%d\n", count);
}
static void use_heap_in_handler(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    count++;
}
CASE(timer_interrupts_malloc) {
    struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    set(SIGALRM, use_heap_in_handler, SA_RESTART);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 60 || count == 0; i++) work();
    setitimer(ITIMER_REAL, &never, NULL);
}
static void free_later(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    free(area);
    area = malloc(300);
}
CASE(handler_frees) {
    set(SIGUSR1, free_later, 0);
    for (int i = 0; i < 50; i++) raise(SIGUSR1);
    free(area);
}
static void on_any(int number) {
    (void)number;
    count++;
}
CASE(all_signals_are_taken) {
    for (int number = 1; number < 65; number++) {
        if (number == SIGKILL || number == SIGSTOP || number == 32 || number == 33) continue;
        CHECK(signal(number, on_any) != SIG_ERR);
    }
    work();
    kept = malloc(50);
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++) raise(number);
    printf("%d\n", count);
}
static void *wait_for_all(void *unused) {
    sigset_t all;
    int number = 0;
    sigfillset(&all);
    while (sigwait(&all, &number) == 0 && number != SIGTERM) count++;
    return unused;
}
CASE(a_thread_waits_for_all_signals) {
    sigset_t all;
    pthread_t thread;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_create(&thread, NULL, wait_for_all, NULL);
    kill(getpid(), SIGUSR1);
    while (count == 0) usleep(1000);
    work();
    printf("%d\n", count);
}
static ucontext_t main_context, other_context;
static void coroutine(int first) {
    for (int i = 0; i < 10; i++) {
        void *block = malloc((size_t)(first + i * 100));
        swapcontext(&other_context, &main_context);
        free(block);
        for (size_t j = 1; j < 100; j++) free(malloc(j * 9));
    }
}
CASE(coroutines) {
    for (int round = 0; round < 2; round++) {
        size_t size = 65536;
        char *stack = round ? malloc(size)
                            : mmap(NULL, size, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        getcontext(&other_context);
        other_context.uc_stack.ss_sp = stack;
        other_context.uc_stack.ss_size = size;
        other_context.uc_link = &main_context;
        makecontext(&other_context, (void (*)(void))coroutine, 1, 24);
        for (int i = 0; i < 11; i++) swapcontext(&main_context, &other_context);
        if (round) free(stack);
        else munmap(stack, size);
    }
}
CASE(coroutine_holds_at_exit) {
    size_t size = 65536;
    getcontext(&other_context);
    other_context.uc_stack.ss_sp = malloc(size);
    other_context.uc_stack.ss_size = size;
    other_context.uc_link = &main_context;
    makecontext(&other_context, (void (*)(void))coroutine, 1, 24);
    swapcontext(&main_context, &other_context);
}
static void fault_on_coroutine(void) {
    volatile char *volatile p = NULL;
    *p = 1;
}
CASE(fault_on_a_coroutine) {
    static char stack[65536];
    set(SIGSEGV, jump, 0);
    getcontext(&other_context);
    other_context.uc_stack.ss_sp = stack;
    other_context.uc_stack.ss_size = sizeof stack;
    other_context.uc_link = &main_context;
    makecontext(&other_context, fault_on_coroutine, 0);
    if (sigsetjmp(back, 1) == 0) swapcontext(&main_context, &other_context);
    work();
    printf("%d\n", count);
}
static jmp_buf place;
NOINLINE void deep(int depth) {
    char *p = malloc(100);
    LAUNDER(p);
    free(p);
    if (0 < depth) deep(depth - 1);
    longjmp(place, 1);
}
CASE(long_jumps) {
    for (volatile int i = 0; i < 20; i++) {
        if (setjmp(place) == 0) deep(i);
        work();
    }
}
CASE(signal_stack_in_heap_block) {
    stack_t stack = {.ss_sp = malloc(16384), .ss_size = 16384};
    CHECK(sigaltstack(&stack, NULL) == 0);
    set(SIGUSR2, free_later, SA_ONSTACK);
    for (int i = 0; i < 10; i++) raise(SIGUSR2);
    free(area);
    stack.ss_flags = SS_DISABLE;
    sigaltstack(&stack, NULL);
    free(stack.ss_sp);
}
static void on_timer(union sigval value) {
    free(malloc(100));
    __atomic_add_fetch((int *)value.sival_ptr, 1, __ATOMIC_SEQ_CST);
}
CASE(timer_threads) {
    timer_t timer;
    static int ticks;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_timer};
    struct itimerspec often = {{0, 1000000}, {0, 1000000}};
    event.sigev_value.sival_ptr = &ticks;
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    timer_settime(timer, 0, &often, NULL);
    while (__atomic_load_n(&ticks, __ATOMIC_SEQ_CST) < 5) usleep(1000);
    timer_delete(timer);
    /* The folder has a link for each thread. libc's own that waits for timers may stay. */
    struct stat tasks;
    do {
        usleep(1000);
        CHECK(stat("/proc/self/task", &tasks) == 0);
    } while (tasks.st_nlink > 2 + 2);
}
