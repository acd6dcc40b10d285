/* What a program sees of its own signals, case by case: run with the library and without, each prints
   the same and ends the same way. */
#define _GNU_SOURCE
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf back;
static char *volatile page; /* closed */
static volatile int count;

static void fault(void) { *(volatile char *)page = 1; }
static void open_page(void) { mprotect(page, 4096, PROT_READ | PROT_WRITE); }
static void close_page(void) { mprotect(page, 4096, PROT_NONE); }

static void say(const char *text) { if (write(1, text, strlen(text)) < 0) _exit(99); }

static void set(int signal, void (*handler)(int, siginfo_t *, void *), int flags, const sigset_t *mask) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO};
    if (mask) action.sa_mask = *mask;
    sigaction(signal, &action, NULL);
}

static int is_blocked(int signal) {
    sigset_t now;
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    return sigismember(&now, signal);
}

static void opens(int signal, siginfo_t *info, void *context) {
    ucontext_t *now = context;
    count++;
    printf("handler: %d %d %ld %d %d\n", signal, info->si_code, (long)((char *)info->si_addr - page),
           now->uc_mcontext.gregs[REG_RIP] != 0, errno);
    open_page();
    errno = 5;
}

static void jumps(int signal, siginfo_t *info, void *context) {
    (void)info, (void)context;
    count++;
    siglongjmp(back, signal);
}

static void restarts(void) {
    set(SIGSEGV, opens, 0, NULL);
    errno = 7;
    fault();
    printf("%d %d %d\n", *page, errno, count);
}

static void jumps_back(void) {
    set(SIGSEGV, jumps, 0, NULL);
    for (volatile int i = 0; i < 3000; i++)
        if (!sigsetjmp(back, 1)) fault();
    printf("%d blocked %d\n", count, is_blocked(SIGSEGV));
}

static void plain(int signal) {
    printf("plain %d\n", signal);
    open_page();
}

static void plain_handler(void) {
    signal(SIGSEGV, plain);
    fault();
    close_page();
    fault();
    puts(signal(SIGSEGV, SIG_DFL) == plain ? "still there" : "gone");
}

static void once(void) {
    set(SIGSEGV, opens, SA_RESETHAND, NULL);
    fault();
    struct sigaction now;
    sigaction(SIGSEGV, NULL, &now);
    printf("default %d\n", now.sa_handler == SIG_DFL);
    fflush(stdout);
    close_page();
    fault();
}

static void once_sysv(void) {
    sysv_signal(SIGSEGV, plain);
    fault();
    fflush(stdout);
    close_page();
    fault();
}

static void nests(int signal, siginfo_t *info, void *context) {
    if (count++ == 0) {
        fault();
        say("outer\n");
    } else {
        opens(signal, info, context);
    }
}

static void nested(void) {
    set(SIGSEGV, nests, SA_NODEFER, NULL);
    fault();
}

static void nested_and_deferred(void) {
    set(SIGSEGV, nests, 0, NULL);
    fault();
}

static void nested_on_alternate(void) {
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    sigaltstack(&stack, NULL);
    set(SIGSEGV, nests, SA_NODEFER | SA_ONSTACK, NULL);
    fault();
}

static void usr1(int signal) { (void)signal; say("usr1\n"); }

static void masked(int signal, siginfo_t *info, void *context) {
    (void)info;
    ucontext_t *now = context;
    printf("%d: segv %d usr1 %d usr2 %d bus %d, before: usr2 %d\n", signal, is_blocked(SIGSEGV),
           is_blocked(SIGUSR1), is_blocked(SIGUSR2), is_blocked(SIGBUS),
           sigismember(&now->uc_sigmask, SIGUSR2));
    fflush(stdout);
    raise(SIGUSR1);
    say("raised\n");
    open_page();
}

static void masks(void) {
    sigset_t mask, blocked;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    signal(SIGUSR1, usr1);
    for (int round = 0; round < 2; round++) {
        set(SIGSEGV, masked, round ? SA_NODEFER : 0, &mask);
        fault();
        close_page();
    }
    sigfillset(&mask);
    set(SIGSEGV, masked, 0, &mask);
    fault();
    printf("after: segv %d usr1 %d usr2 %d\n", is_blocked(SIGSEGV), is_blocked(SIGUSR1),
           is_blocked(SIGUSR2));
}

static char *alternate;
static char *bottom;

static const char *where(void *address) {
    char *at = address;
    if (alternate <= at && at < alternate + 65536) return "alternate";
    return bottom - (1 << 20) < at && at < bottom ? "own" : "elsewhere";
}

static void looks(int signal, siginfo_t *info, void *context) {
    (void)signal;
    char local;
    stack_t now;
    sigaltstack(NULL, &now);
    printf("on %s; info %s; context %s; flags %d\n", where(&local), where(info), where(context),
           now.ss_flags);
    open_page();
}

static void stacks(void) {
    char local;
    bottom = &local + 4096;
    stack_t none;
    sigaltstack(NULL, &none);
    printf("none: %d %d %d\n", none.ss_flags, (int)none.ss_size, none.ss_sp == NULL);
    set(SIGSEGV, looks, SA_ONSTACK, NULL);
    fault();
    close_page();
    set(SIGSEGV, looks, 0, NULL);
    fault();
    close_page();
    alternate = malloc(65536);
    stack_t stack = {.ss_sp = alternate, .ss_size = 65536}, old;
    printf("set: %d\n", sigaltstack(&stack, &old));
    printf("old: %d %d\n", old.ss_flags, (int)old.ss_size);
    fault();
    close_page();
    set(SIGSEGV, looks, SA_ONSTACK, NULL);
    fault();
    close_page();
    stack.ss_flags = SS_DISABLE;
    printf("off: %d\n", sigaltstack(&stack, &old));
    printf("old: %d %d %d\n", old.ss_flags, (int)old.ss_size, old.ss_sp == alternate);
    fault();
    stack.ss_flags = 0;
    stack.ss_size = 1;
    printf("small: %d %d\n", sigaltstack(&stack, NULL), errno == ENOMEM);
    sigaltstack(NULL, &none);
    printf("none: %d %d %d\n", none.ss_flags, (int)none.ss_size, none.ss_sp == NULL);
}

static volatile double sum;
static void spoils(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info, (void)context;
    for (int i = 0; i < 100; i++) sum += i / 3.0;
    __asm__ volatile("fldz\n fldz\n fldz\n fstp %%st(0)\n fstp %%st(0)\n fstp %%st(0)\n"
                     "pxor %%xmm7, %%xmm7\n pxor %%xmm15, %%xmm15" ::: "xmm7", "xmm15");
    open_page();
}

/* The vector registers of the interrupted code come back, whichever stack the handler runs on. */
static void registers(void) {
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    for (int round = 0; round < 4; round++) {
        if (round == 2) sigaltstack(&stack, NULL);
        set(SIGSEGV, spoils, round & 1 ? SA_ONSTACK : 0, NULL);
        double a = 1.25, b = 0, c = 2.5, d = 0;
        __asm__ volatile("movsd %2, %%xmm7\n movsd %3, %%xmm15\n fldl %2\n movb $1, (%4)\n"
                         "movsd %%xmm7, %0\n movsd %%xmm15, %1\n fstpl %2"
                         : "=m"(b), "=m"(d), "+m"(a) : "m"(c), "r"(page) : "xmm7", "xmm15", "memory");
        printf("%g %g %g\n", a, b, d);
        close_page();
    }
}

static void skips(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 3;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RCX] = 42;
}

static void changes_registers(void) {
    for (int flags = 0; flags < 2; flags++) {
        set(SIGSEGV, skips, flags ? SA_ONSTACK : 0, NULL);
        long result = 0;
        __asm__ volatile("mov (%1), %%rcx\n mov %%rcx, %0" : "=r"(result) : "r"(page) : "rcx");
        printf("%ld\n", result);
    }
}

static int deep(volatile int depth) {
    volatile char room[512];
    memset((char *)room, depth, sizeof room);
    return depth < 0 ? 0 : deep(depth + 1) + room[3];
}

static void leaves(int signal) {
    (void)signal;
    say("overflow\n");
    _exit(3);
}

static void overflow(int flags, int with_stack) {
    struct sigaction action = {.sa_handler = leaves, .sa_flags = flags};
    sigaction(SIGSEGV, &action, NULL);
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    if (with_stack) sigaltstack(&stack, NULL);
    printf("%d\n", deep(0));
}

static void overflow_caught(void) { overflow(SA_ONSTACK, 1); }
static void overflow_of_plain(void) { overflow(0, 1); }
static void overflow_of_default(void) { printf("%d\n", deep(0)); }

static void ignored(void) {
    signal(SIGSEGV, SIG_IGN);
    raise(SIGSEGV);
    kill(getpid(), SIGSEGV);
    puts("alive");
    fflush(stdout);
    fault();
}

static void default_kills(void) { fault(); }
static void raised(void) { raise(SIGSEGV); }
static void raised_bus(void) { raise(SIGBUS); }

static void tells(int signal, siginfo_t *info, void *context) {
    (void)context;
    printf("%d %d from me %d value %d\n", signal, info->si_code, info->si_pid == getpid(),
           info->si_code == SI_QUEUE ? info->si_value.sival_int : 0);
}

static void sent(void) {
    for (int i = 0; i < 2; i++) {
        int signal = i ? SIGBUS : SIGSEGV;
        set(signal, tells, 0, NULL);
        raise(signal);
        kill(getpid(), signal);
        sigqueue(getpid(), signal, (union sigval){.sival_int = 77});
    }
}

static void blocked(void) {
    sigset_t set_, old;
    set(SIGSEGV, tells, 0, NULL);
    sigemptyset(&set_);
    sigaddset(&set_, SIGSEGV);
    printf("%d\n", pthread_sigmask(SIG_BLOCK, &set_, &old));
    printf("%d %d\n", sigismember(&old, SIGSEGV), is_blocked(SIGSEGV));
    raise(SIGSEGV);
    puts("raised");
    sigpending(&old);
    printf("pending %d\n", sigismember(&old, SIGSEGV));
    pthread_sigmask(SIG_UNBLOCK, &set_, &old);
    printf("%d %d\n", sigismember(&old, SIGSEGV), is_blocked(SIGSEGV));
    sigfillset(&set_);
    sigdelset(&set_, SIGSEGV);
    sigprocmask(SIG_SETMASK, &set_, NULL);
    printf("all but it: %d %d\n", is_blocked(SIGSEGV), is_blocked(SIGUSR1));
    set(SIGSEGV, opens, 0, NULL);
    fault();
    printf("bad: %d %d\n", sigprocmask(77, &set_, NULL), errno == EINVAL);
    printf("bad: %d\n", pthread_sigmask(77, &set_, NULL) == EINVAL);
}

static void waits(void) {
    sigset_t set_;
    int got = 0;
    sigemptyset(&set_);
    sigaddset(&set_, SIGSEGV);
    sigprocmask(SIG_BLOCK, &set_, NULL);
    raise(SIGSEGV);
    sigwait(&set_, &got);
    printf("%d %d\n", got, is_blocked(SIGSEGV));
}

static void blocked_kills(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    set(SIGSEGV, opens, 0, NULL);
    fault();
}

static void views(void) {
    struct sigaction old, new = {.sa_handler = usr1, .sa_flags = SA_NODEFER | SA_ONSTACK};
    for (int i = 0; i < 3; i++) {
        int signal_ = (int[]){SIGSEGV, SIGBUS, SIGUSR1}[i];
        sigfillset(&new.sa_mask);
        sigdelset(&new.sa_mask, SIGUSR2);
        sigaction(signal_, NULL, &old);
        printf("%d:", old.sa_handler == SIG_DFL);
        sigaction(signal_, &new, &old);
        printf(" %d", old.sa_handler == SIG_DFL);
        sigaction(signal_, NULL, &old);
        printf(" %d %x %d %d %d %d", old.sa_handler == usr1, old.sa_flags & ~0x4000000,
               sigismember(&old.sa_mask, SIGSEGV), sigismember(&old.sa_mask, SIGUSR2),
               sigismember(&old.sa_mask, SIGKILL), sigismember(&old.sa_mask, SIGUSR1));
        printf(" %d", signal(signal_, plain) == usr1);
        sigaction(signal_, NULL, &old);
        printf(" %x %d %d", old.sa_flags & ~0x4000000, sigismember(&old.sa_mask, signal_),
               sigismember(&old.sa_mask, SIGHUP));
        siginterrupt(signal_, 1);
        sigaction(signal_, NULL, &old);
        printf(" %x", old.sa_flags & ~0x4000000);
        siginterrupt(signal_, 0);
        sigaction(signal_, NULL, &old);
        printf(" %x", old.sa_flags & ~0x4000000);
        printf(" %d", sysv_signal(signal_, usr1) == plain);
        sigaction(signal_, NULL, &old);
        printf(" %x %d", old.sa_flags & ~0x4000000, sigismember(&old.sa_mask, signal_));
        printf(" %d", sigset(signal_, plain) == usr1);
        printf(" %d %d", sigset(signal_, SIG_HOLD) == plain, is_blocked(signal_));
        printf(" %d", sigset(signal_, usr1) == SIG_HOLD);
        printf(" %d", is_blocked(signal_));
        sighold(signal_);
        printf(" %d", is_blocked(signal_));
        sigrelse(signal_);
        printf(" %d", is_blocked(signal_));
        sigignore(signal_);
        printf(" %d", signal(signal_, SIG_DFL) == SIG_IGN);
        errno = 0;
        printf(" %d %d\n", signal(signal_, SIG_ERR) == SIG_ERR, errno == EINVAL);
    }
    errno = 0;
    printf("%d %d\n", sigaction(SIGKILL, &new, NULL), errno == EINVAL);
    printf("%d\n", sigaction(1000, &new, NULL));
    sigset_t set_, old_set;
    sigfillset(&set_);
    sigprocmask(SIG_SETMASK, &set_, NULL);
    sigemptyset(&set_);
    sigprocmask(SIG_SETMASK, &set_, &old_set);
    for (int s = 1; s < 32; s++) putchar(sigismember(&old_set, s) ? '1' : '0');
    putchar('\n');
    printf("%x", sigblock(1 << (SIGSEGV - 1) | 1 << (SIGUSR1 - 1)));
    printf(" %d", is_blocked(SIGSEGV));
    printf(" %d\n", (sigsetmask(0) & 1 << (SIGSEGV - 1)) != 0);
}

static void handler_of_another(int signal) {
    (void)signal;
    printf("segv %d usr2 %d\n", is_blocked(SIGSEGV), is_blocked(SIGUSR2));
}

static void other_signals(void) {
    struct sigaction action = {.sa_handler = handler_of_another}, old;
    sigfillset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR1, NULL, &old);
    raise(SIGUSR1);
    printf("%d %d\n", sigismember(&old.sa_mask, SIGSEGV), is_blocked(SIGSEGV));
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    raise(SIGUSR1);
    sigdelset(&all, SIGUSR1);
    sigsuspend(&all);
    printf("%d\n", is_blocked(SIGUSR1));
}

static void bus(void) {
    char name[] = "/tmp/handlers-" "XX" "XX" "XX"; // tidy takes three in a row for a note
    int file = mkstemp(name);
    unlink(name);
    if (ftruncate(file, 4096)) exit(9);
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (ftruncate(file, 0)) exit(9);
    set(SIGBUS, jumps, 0, NULL);
    for (volatile int i = 0; i < 3; i++)
        if (!sigsetjmp(back, 1)) *(volatile char *)map = 1;
    printf("%d\n", count);
    fflush(stdout);
    signal(SIGBUS, SIG_DFL);
    *(volatile char *)map = 1;
}

static void *thread(void *arg) {
    printf("inherited %d\n", is_blocked(SIGSEGV));
    free(malloc(10));
    stack_t none;
    sigaltstack(NULL, &none);
    printf("none: %d\n", none.ss_flags);
    if (arg) {
        sigset_t set_;
        sigemptyset(&set_);
        sigaddset(&set_, SIGSEGV);
        pthread_sigmask(SIG_UNBLOCK, &set_, NULL);
    }
    fault();
    close_page();
    return NULL;
}

static void threads(void) {
    pthread_t id;
    set(SIGSEGV, opens, 0, NULL);
    pthread_create(&id, NULL, thread, NULL);
    pthread_join(id, NULL);
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_create(&id, NULL, thread, &all);
    pthread_join(id, NULL);
}

static ucontext_t outside, inside;

static void coroutine(void) {
    fault();
    close_page();
    set(SIGSEGV, opens, SA_ONSTACK, NULL);
    fault();
    puts("coroutine");
}

static void coroutines(void) {
    char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    set(SIGSEGV, opens, 0, NULL);
    getcontext(&inside);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = 65536;
    inside.uc_link = &outside;
    makecontext(&inside, coroutine, 0);
    swapcontext(&outside, &inside);
}

static void processes(void) {
    int status;
    set(SIGSEGV, opens, 0, NULL);
    fflush(stdout);
    if (fork() == 0) {
        fault();
        exit(4);
    }
    wait(&status);
    printf("forked %d\n", WEXITSTATUS(status));
    if (vfork() == 0) {
        signal(SIGSEGV, SIG_DFL);
        _exit(5);
    }
    wait(&status);
    printf("vforked %d\n", WEXITSTATUS(status));
    fault();
    close_page();
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigprocmask(SIG_SETMASK, &all, NULL);
    fflush(stdout);
    execl("/proc/self/exe", "handlers", "after_exec", (char *)NULL);
}

static void after_exec(void) {
    struct sigaction old;
    sigaction(SIGSEGV, NULL, &old);
    printf("default %d segv %d usr1 %d\n", old.sa_handler == SIG_DFL, is_blocked(SIGSEGV),
           is_blocked(SIGUSR1));
    fflush(stdout);
    fault();
}

static void dies_in_child(void) {
    int status;
    fflush(stdout);
    if (fork() == 0) fault();
    wait(&status);
    printf("%d\n", WTERMSIG(status));
}

static void ignored_at_exec(void) {
    signal(SIGSEGV, SIG_IGN);
    char *args[] = {"handlers", "tells_ignored", NULL};
    printf("no such file: %d\n", execv("/no/such/file", args));
    fflush(stdout);
    raise(SIGSEGV);
    execv("/proc/self/exe", args);
}

static void tells_ignored(void) {
    struct sigaction old;
    sigaction(SIGSEGV, NULL, &old);
    printf("ignored %d blocked %d\n", old.sa_handler == SIG_IGN, is_blocked(SIGSEGV));
}

static void ignored_at_execl(void) {
    signal(SIGSEGV, SIG_IGN);
    for (int i = 0; i < 4; i++) {
        char *environment[] = {"LEFT=1", NULL};
        char *const kept[] = {getenv("LD_PRELOAD") ? "LD_PRELOAD=" : "LEFT=1", NULL};
        fflush(stdout);
        if (fork() == 0) {
            if (i == 0) execl("/proc/self/exe", "handlers", "tells_ignored", (char *)NULL);
            if (i == 1) execlp("/proc/self/exe", "handlers", "tells_ignored", NULL, "", "", "", "");
            if (i == 2) execle("/bin/sh", "sh", "-c", "echo $LEFT$# $1 $6", "a", "b", "c", "d", "e", "f", "g", NULL, environment);
            if (i == 3) printf("none: %d\n", execle("/no/such", "a", NULL, kept));
            exit(0);
        }
        wait(NULL);
    }
}

extern char **environ;
static void ignored_at_spawn(void) {
    char *args[] = {"handlers", "tells_ignored", NULL};
    pid_t pid;
    signal(SIGSEGV, SIG_IGN);
    fflush(stdout);
    printf("%d\n", posix_spawn(&pid, "/proc/self/exe", NULL, NULL, args, environ));
    waitpid(pid, NULL, 0);
    printf("%d\n", posix_spawnp(&pid, "/no/such", NULL, NULL, args, environ) == ENOENT);
    raise(SIGSEGV);
    puts("alive");
}

static void blocked_at_exec(void) {
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGSEGV);
    sigprocmask(SIG_BLOCK, &one, NULL);
    fflush(stdout);
    char *args[] = {"grep", "SigBlk", "/proc/self/status", NULL}, *environment[] = {NULL};
    if (fork() == 0) {
        dup2(open("/dev/null", O_WRONLY), 1); /* a mask has our marker in it as well */
        execve("/no/such", args, environment);
        _exit(is_blocked(SIGSEGV));
    }
    int status;
    wait(&status);
    printf("%d\n", WEXITSTATUS(status));
    fflush(stdout);
    execl("/proc/self/exe", "handlers", "tells_ignored", NULL);
}

#define CASES \
    X(restarts) X(jumps_back) X(plain_handler) X(once) X(once_sysv) X(nested) X(nested_and_deferred) \
    X(nested_on_alternate) X(masks) X(stacks) X(registers) X(changes_registers) X(overflow_caught) \
    X(overflow_of_plain) X(overflow_of_default) X(ignored) X(default_kills) X(raised) X(raised_bus) \
    X(sent) X(blocked) X(waits) X(blocked_kills) X(views) X(other_signals) X(bus) X(threads) \
    X(coroutines) X(processes) X(after_exec) X(dies_in_child) X(ignored_at_exec) X(tells_ignored) \
    X(ignored_at_execl) X(ignored_at_spawn) X(blocked_at_exec)

int main(int argc, char **argv) {
    page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (argc < 2) {
#define X(name) puts(#name);
        CASES
#undef X
        return 0;
    }
#define X(name) if (!strcmp(argv[1], #name)) { name(); return 0; }
    CASES
    return 77;
}
