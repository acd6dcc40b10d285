/* Odd things that are allowed: processes, threads, signals, memory of all kinds. No case has a fault. */
#define _GNU_SOURCE
#include "corpus.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define CHECK(condition)                                                   \
    do {                                                                   \
        if (!(condition)) {                                                \
            printf("line %d: not %s (%d)\n", __LINE__, #condition, errno); \
            _exit(99);                                                     \
        }                                                                  \
    } while (0)

static void *make(size_t size) {
    unsigned char *p = malloc(size);
    CHECK(p);
    memset(p, 0xc3, size);
    return p;
}
static void work(int rounds) {
    enum { COUNT = 50 };
    void *blocks[COUNT] = {NULL};
    for (int i = 0; i < rounds; i++) {
        int slot = i * 7 % COUNT;
        free(blocks[slot]);
        blocks[slot] = make((size_t)(1 + i * 37 % 3000));
    }
    for (int i = 0; i < COUNT; i++) free(blocks[i]);
}
static void *work_in_thread(void *rounds) {
    work((int)(intptr_t)rounds);
    return NULL;
}
static int status_of(pid_t child) {
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

CASE(fork_both_go_on) {
    char *p = make(100), *q = make(200);
    pid_t child = fork();
    if (child == 0) {
        free(p);
        q = realloc(q, 5000);
        CHECK(q[199] == (char)0xc3);
        free(q);
        work(1000);
        exit(3);
    }
    work(1000);
    free(p);
    free(q);
    printf("%d\n", WEXITSTATUS(status_of(child)));
}
static volatile bool is_over;
static void *work_until_over(void *unused) {
    while (!is_over) work(200);
    return unused;
}
CASE(fork_while_threads_allocate) {
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, work_until_over, NULL);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0) {
            work(300);
            exit(i);
        }
        CHECK(WEXITSTATUS(status_of(child)) == i);
    }
    is_over = true;
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}
CASE(fork_in_fork_in_fork) {
    void *p = make(64);
    for (int depth = 0; depth < 4; depth++) {
        pid_t child = fork();
        if (child != 0) {
            int status = status_of(child);
            free(p);
            exit(WEXITSTATUS(status) + 1);
        }
        work(100);
    }
    free(p);
}
CASE(daemonise) {
    int ends[2];
    char byte = 0;
    CHECK(pipe(ends) == 0);
    if (fork() == 0) {
        setsid();
        if (fork() != 0) _exit(0);
        CHECK(chdir("/") == 0);
        work(500);
        CHECK(write(ends[1], "d", 1) == 1);
        exit(0);
    }
    wait(NULL);
    CHECK(read(ends[0], &byte, 1) == 1);
    printf("%c\n", byte);
}
CASE(vfork_and_spawn) {
    char *arguments[] = {"true", NULL};
    void *p = make(300);
    pid_t child = vfork();
    if (child == 0) {
        execv("/bin/true", arguments);
        _exit(1);
    }
    CHECK(status_of(child) == 0);
    CHECK(posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ) == 0);
    CHECK(status_of(child) == 0);
    CHECK(system("exit 4") >> 8 == 4);
    FILE *pipe = popen("echo from a shell", "r");
    char line[64];
    CHECK(fgets(line, sizeof line, pipe));
    fputs(line, stdout);
    pclose(pipe);
    free(p);
}
CASE(exec_chain) {
    char count[2] = {'3', 0}, *old = getenv("CHAIN");
    work(100);
    if (old) count[0] = (char)(old[0] - 1);
    if (count[0] == '0') return;
    setenv("CHAIN", count, 1);
    kept = make(77);
    puts(count);
    fflush(stdout);
    execl("/proc/self/exe", "chain", "exec_chain", NULL);
}
static void *hold_block(void *place) {
    *(void **)place = make(120);
    return make(130);
}
CASE(threads_leave_blocks_behind) {
    void *places[8], *results[8];
    for (int i = 0; i < 8; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, hold_block, &places[i]);
        pthread_join(thread, &results[i]);
    }
    for (int i = 0; i < 8; i++) {
        free(places[i]);
        free(results[i]);
    }
}
static void *hold_on_stack(void *barrier) {
    void *volatile block = make(140);
    pthread_barrier_wait(barrier);
    pause();
    free(block);
    return NULL;
}
CASE(thread_still_runs_at_exit) {
    static pthread_barrier_t barrier;
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, hold_on_stack, &barrier);
    pthread_barrier_wait(&barrier);
}
static _Thread_local void *volatile own;
static void *hold_in_tls(void *barrier) {
    own = make(150);
    pthread_barrier_wait(barrier);
    while (pause()) continue;
    return NULL;
}
CASE(thread_holds_in_tls_at_exit) {
    static pthread_barrier_t barrier;
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, hold_in_tls, &barrier);
    pthread_detach(thread);
    pthread_barrier_wait(&barrier);
    own = make(151);
}
static void *hold_with_signals_blocked(void *barrier) {
    sigset_t all;
    void *volatile block = make(160);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_barrier_wait(barrier);
    while (pause()) *(volatile char *)block = 1;
    return NULL;
}
CASE(thread_blocks_all_signals_at_exit) {
    static pthread_barrier_t barrier;
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, hold_with_signals_blocked, &barrier);
    pthread_barrier_wait(&barrier);
}
static void *end_of_last_thread(void *block) {
    usleep(20000);
    free(block);
    puts("last");
    return NULL;
}
CASE(main_leaves_first) {
    pthread_t thread;
    pthread_create(&thread, NULL, end_of_last_thread, make(170));
    pthread_detach(thread);
    pthread_exit(NULL);
}
static pthread_key_t keys[3];
static void free_value(void *value) { free(value); }
static void set_again(void *value) {
    free(value);
    if (pthread_getspecific(keys[1]) == NULL) pthread_setspecific(keys[1], make(30));
}
static void *set_keys(void *unused) {
    pthread_setspecific(keys[0], make(31));
    pthread_setspecific(keys[1], make(32));
    pthread_setspecific(keys[2], make(33));
    return unused;
}
CASE(keys_destructors_free) {
    pthread_t thread;
    pthread_key_create(&keys[0], free_value);
    pthread_key_create(&keys[1], free_value);
    pthread_key_create(&keys[2], set_again);
    for (int i = 0; i < 20; i++) {
        pthread_create(&thread, NULL, set_keys, NULL);
        pthread_join(thread, NULL);
    }
}
static void clean_up(void *block) { free(block); }
static void *to_be_cancelled(void *barrier) {
    void *block = make(180);
    pthread_cleanup_push(clean_up, block);
    pthread_barrier_wait(barrier);
    for (;;) sleep(1);
    pthread_cleanup_pop(1);
    return NULL;
}
CASE(cancelled_threads) {
    static pthread_barrier_t barrier;
    void *result;
    pthread_barrier_init(&barrier, NULL, 2);
    for (int i = 0; i < 5; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, to_be_cancelled, &barrier);
        pthread_barrier_wait(&barrier);
        pthread_cancel(thread);
        pthread_join(thread, &result);
        CHECK(result == PTHREAD_CANCELED);
    }
}
CASE(small_stacks) {
    pthread_attr_t attr;
    pthread_t threads[8];
    pthread_attr_init(&attr);
    CHECK(pthread_attr_setstacksize(&attr, 16384) == 0);
    for (int i = 0; i < 8; i++) {
        CHECK(pthread_create(&threads[i], &attr, work_in_thread, (void *)300) == 0);
    }
    for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
}
CASE(stack_of_own) {
    pthread_attr_t attr;
    pthread_t thread;
    void *stack = memalign(4096, 65536);
    pthread_attr_init(&attr);
    CHECK(pthread_attr_setstack(&attr, stack, 65536) == 0);
    CHECK(pthread_create(&thread, &attr, work_in_thread, (void *)300) == 0);
    pthread_join(thread, NULL);
    free(stack);
}
CASE(many_threads) {
    for (int round = 0; round < 10; round++) {
        pthread_t threads[40];
        for (int i = 0; i < 40; i++) {
            pthread_create(&threads[i], NULL, work_in_thread, (void *)60);
        }
        for (int i = 0; i < 40; i++) pthread_join(threads[i], NULL);
    }
}
static void *slots[64];
static void *exchange(void *seed) {
    unsigned number = (unsigned)(uintptr_t)seed;
    for (int i = 0; i < 20000; i++) {
        number = number * 1664525 + 1013904223;
        void *mine = malloc(1 + number % 500);
        free(__atomic_exchange_n(&slots[number >> 26], mine, __ATOMIC_ACQ_REL));
    }
    return NULL;
}
CASE(blocks_change_hands) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, exchange, (void *)(uintptr_t)(i + 1));
    }
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 64; i++) free(slots[i]);
}

CASE(many_live_blocks) {
    enum { COUNT = 300000 };
    char **all = malloc(COUNT * sizeof *all);
    for (int i = 0; i < COUNT; i++) {
        all[i] = malloc((size_t)(8 + i % 50));
        CHECK(all[i]);
        all[i][0] = (char)i;
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK(all[i][0] == (char)i);
        free(all[i]);
    }
    free(all);
}
CASE(a_million_times) {
    for (int i = 0; i < 1000000; i++) {
        void *volatile p = malloc((size_t)(1 + i % 300));
        free(p);
    }
}
CASE(calloc_is_zero) {
    for (int round = 0; round < 30; round++) {
        for (size_t size = 1; size < 40000; size += size / 3 + 1) {
            unsigned char *p = calloc(1, size);
            for (size_t i = 0; i < size; i++) CHECK(p[i] == 0);
            memset(p, 0xff, size);
            free(p);
        }
        unsigned char *large = calloc(1, 3000000);
        for (size_t i = 0; i < 3000000; i++) CHECK(large[i] == 0);
        memset(large, 0xff, 3000000);
        free(large);
    }
}
CASE(realloc_keeps_bytes) {
    unsigned char *p = NULL;
    size_t len = 0;
    unsigned number = 5;
    for (int i = 0; i < 2000; i++) {
        number = number * 1664525 + 1013904223;
        size_t next = 1 + (i % 100 == 0 ? number % 3000000 : number % 9000);
        p = realloc(p, next);
        CHECK(p);
        for (size_t at = 0; at < len && at < next; at += 97) CHECK(p[at] == (unsigned char)at);
        for (size_t at = 0; at < next; at++) p[at] = (unsigned char)at;
        len = next;
    }
    CHECK(realloc(p, 0) == NULL);
}
CASE(usable_size_is_usable) {
    for (size_t size = 0; size < 20000; size += size / 7 + 1) {
        unsigned char *p = malloc(size);
        size_t usable = malloc_usable_size(p);
        CHECK(usable >= size);
        memset(p, 0x11, usable);
        p = realloc(p, usable + 100);
        for (size_t i = 0; i < usable; i++) CHECK(p[i] == 0x11);
        memset(p, 0x12, malloc_usable_size(p));
        free(p);
    }
}
CASE(all_alignments) {
    for (size_t align = 8; align <= 1 << 26; align *= 2) {
        for (size_t size = 1; size < 100000; size = size * 9 + 1) {
            char *p = aligned_alloc(align, size), *q = NULL;
            CHECK(p && ((uintptr_t)p & (align - 1)) == 0);
            CHECK(posix_memalign((void **)&q, align, size) == 0);
            CHECK(((uintptr_t)q & (align - 1)) == 0);
            memset(p, 1, size);
            memset(q, 2, size);
            p = realloc(p, 2 * size);
            CHECK(p[0] == 1 && p[size - 1] == 1);
            free(p);
            free(q);
        }
    }
    char *page = valloc(100), *pages = pvalloc(100);
    memset(pages, 3, 4096);
    free(page);
    free(pages);
}
CASE(fills_every_byte) {
    for (size_t size = 1; size < 6000; size++) {
        char *p = malloc(size), *q = malloc(size);
        memset(p, 'x', size);
        p[size - 1] = 0;
        strcpy(q, p);
        CHECK(strlen(q) == size - 1 && strcmp(p, q) == 0 && memchr(q, 0, size) == q + size - 1);
        CHECK(strnlen(p, size) == size - 1 && memcmp(p, q, size) == 0);
        memmove(p + size / 2, p, size - size / 2);
        free(p);
        free(q);
    }
}
CASE(no_memory_is_handled) {
    struct rlimit limit = {400 << 20, 400 << 20};
    static void *blocks[1000];
    int count = 0;
    // Where addresses are never used again, there are some for small blocks.
    void *small = malloc(1000);
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    while (count < 1000 && (blocks[count] = malloc(10 << 20))) {
        memset(blocks[count], 1, 100);
        count++;
    }
    CHECK(5 < count && count < 41 && errno == ENOMEM);
    while (0 < count) free(blocks[--count]);
    void *p = malloc(1000);
    CHECK(p);
    free(p);
    free(small);
    CHECK(malloc((size_t)1 << 40) == NULL && errno == ENOMEM);
}
CASE(errno_is_left_alone) {
    void *p = make(100);
    errno = 1234;
    free(p);
    free(NULL);
    free(malloc(5000000));
    CHECK(errno == 1234);
    void *a = malloc(0), *b = malloc(0);
    CHECK(a && b && a != b);
    free(a);
    free(b);
}
CASE(tagged_pointers) {
    kept = (void *)((uintptr_t)make(200) | 1);
    static void *also;
    also = (char *)make(200) + 7;
    LAUNDER(also);
}
CASE(pointers_in_odd_places) {
    /* The only pointer is in a mapping of the program's own, in a pipe, and so on. */
    void **area = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    area[5000] = make(210);
    mprotect(area, 1 << 20, PROT_READ);
    void **shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared[7] = make(220);
    int file = memfd_create("memory", 0);
    CHECK(file >= 0 && ftruncate(file, 4096) == 0);
    void **mapped = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    mapped[9] = make(230);
    close(file);
    void **below = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_32BIT | MAP_ANONYMOUS,
                        -1, 0);
    below[0] = make(240);
    void **chain = kept = make(8);
    for (int i = 0; i < 10000; i++) chain = *chain = calloc(1, 16 + (size_t)i % 40);
}
CASE(fixed_mappings_beside) {
    /* Takes the addresses around what malloc last returned, as far as they are free. */
    int count = 0;
    for (size_t i = 0; i < 200; i++) {
        char *p = make(200000);
        for (char *at = p - (16 << 20); at < p + (16 << 20); at += 1 << 20) {
            char *place = (char *)((uintptr_t)at & ~(uintptr_t)4095);
            void *got = mmap(place, 4096, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
            if (got != MAP_FAILED) {
                memset(got, 7, 4096);
                count++;
                if (count % 2) munmap(got, 4096);
            }
        }
        free(p);
    }
    work(3000);
}
CASE(locked_memory) {
    if (mlockall(MCL_CURRENT | MCL_FUTURE)) return;
    work(3000);
    free(make(5000000));
}
CASE(all_descriptors_closed) {
    int out = dup(1);
    CHECK(out >= 0);
    for (int i = 3; i < 1024; i++) {
        if (i != out) close(i);
    }
    close(0);
    close(2);
    work(1000);
    int files[50];
    for (int i = 0; i < 50; i++) CHECK((files[i] = open("/dev/null", O_RDWR)) >= 0);
    work(1000);
    for (int i = 0; i < 50; i++) close(files[i]);
    CHECK(dprintf(out, "closed\n") == 7);
}
CASE(files_may_not_grow) {
    /* Whoever writes to a file gets SIGXFSZ, which kills. */
    struct rlimit limit = {0, 0};
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    work(500);
    if (fork() == 0) {
        work(500);
        exit(0);
    }
    int status;
    wait(&status);
    exit(status);
}
CASE(no_descriptors_left) {
    struct rlimit limit = {3, 3};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    work(500);
    pid_t child = fork();
    if (child == 0) {
        work(100);
        exit(6);
    }
    printf("%d\n", WEXITSTATUS(status_of(child)));
}
CASE(another_user) {
    if (getuid() == 0) {
        CHECK(setgid(65534) == 0);
        CHECK(setuid(65534) == 0);
    }
    prctl(PR_SET_DUMPABLE, 0);
    work(500);
    pid_t child = fork();
    if (child == 0) {
        work(100);
        exit(6);
    }
    CHECK(WEXITSTATUS(status_of(child)) == 6);
}
CASE(another_root) {
    char place[] = "/tmp/root" "XX" "XX" "XX"; // tidy takes three in a row for a note
    CHECK(mkdtemp(place));
    if (chroot(place) == 0) {
        CHECK(chdir("/") == 0);
        kept = make(64);
        work(500);
        puts("changed");
    } else {
        puts("changed");
    }
    rmdir(place);
}
static void *at_exit_block;
static void free_at_exit(void) { free(at_exit_block); }
static void free_on_exit(int status, void *block) {
    (void)status;
    free(block);
}
__attribute__((destructor)) static void at_the_very_end(void) { work(50); }
CASE(frees_at_exit) {
    at_exit_block = make(100);
    atexit(free_at_exit);
    on_exit(free_on_exit, make(101));
    exit(7);
}
CASE(leaves_without_exit) {
    char *p = make(100);
    LAUNDER(p);
    _exit(8);
}
CASE(leaves_by_quick_exit) {
    kept = make(100);
    quick_exit(9);
}
CASE(dies_by_abort) {
    pid_t child = fork();
    if (child == 0) {
        work(10);
        abort();
    }
    printf("%d\n", WTERMSIG(status_of(child)));
    raise(SIGTERM);
}
CASE(probes_addresses) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    for (uintptr_t addr = 0; addr < 5 * 4096; addr += 4096) {
        char *place = (char *)(addr == 4096 ? -addr : addr);
        LAUNDER(place);
        CHECK(write(ends[1], place, 10) == -1 && errno == EFAULT);
    }
    CHECK(write(ends[1], "0123456789", 10) == 10);
    /* As large as it takes, though the buffer is small: only ten bytes come. */
    char *p = make(10);
    CHECK(read(ends[0], p, 4000) == 10);
    free(p);
}
