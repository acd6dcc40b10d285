/* More that is odd and allowed: allocators on top of malloc, other processes, limits given as lengths.
 * No case has a fault. */
#define _GNU_SOURCE
#include "corpus.h"

#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

extern char **environ;

#define CHECK(condition)                                                   \
    do {                                                                   \
        if (!(condition)) {                                                \
            printf("line %d: not %s (%d)\n", __LINE__, #condition, errno); \
            _exit(99);                                                     \
        }                                                                  \
    } while (0)

static int status_of(pid_t child) {
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Allocators on top. */

struct Head {
    size_t size;
    char guard[24];
};
static void *checked_malloc(size_t size) {
    struct Head *head = malloc(sizeof *head + size + 8);
    CHECK(head);
    head->size = size;
    memset(head->guard, 0xfd, sizeof head->guard);
    memset((char *)(head + 1) + size, 0xfd, 8);
    return head + 1;
}
static void checked_free(void *p) {
    struct Head *head = (struct Head *)p - 1;
    CHECK(head->guard[0] == (char)0xfd && ((char *)p)[head->size + 7] == (char)0xfd);
    free(head);
}
CASE(headers_of_own) {
    kept = checked_malloc(77);
    for (int i = 0; i < 500; i++) {
        void *p = checked_malloc((size_t)i);
        memset(p, 1, (size_t)i);
        checked_free(p);
    }
}
struct Slab {
    struct Slab *next;
    unsigned long used;
};
CASE(headers_found_by_masks) {
    static struct Slab *all;
    for (int i = 0; i < 20; i++) {
        struct Slab *slab = aligned_alloc(65536, 65536);
        CHECK(slab && ((uintptr_t)slab & 65535) == 0);
        slab->next = all;
        slab->used = 0;
        all = slab;
        for (int j = 1; j < 60; j++) {
            char *object = (char *)slab + 1024 * j;
            struct Slab *of = (struct Slab *)((uintptr_t)object & ~(uintptr_t)65535);
            of->used++;
            memset(object, j, 1024);
        }
        CHECK(slab->used == 59);
    }
    while (all->next) {
        struct Slab *next = all->next;
        free(all);
        all = next;
    }
}
union Cell {
    union Cell *next;
    char bytes[32];
};
CASE(free_list_inside_a_block) {
    static union Cell *list, *cells;
    cells = malloc(1000 * sizeof *cells);
    for (int i = 0; i < 1000; i++) {
        cells[i].next = list;
        list = &cells[i];
    }
    for (int i = 0; i < 5000; i++) {
        union Cell *one = list;
        list = one->next;
        memset(one, 0xee, sizeof *one);
        one->next = list;
        list = one;
    }
    cells = NULL;
}
CASE(huge_alignment_given_back_in_part) {
    size_t len = 4 << 20;
    char *p = memalign(2 << 20, len);
    CHECK(p && ((uintptr_t)p & ((2 << 20) - 1)) == 0);
    memset(p, 1, len);
    madvise(p, len, MADV_HUGEPAGE);
    CHECK(madvise(p + 8192, 1 << 20, MADV_DONTNEED) == 0);
    CHECK(p[8192] == 0 && p[8191] == 1 && p[len - 1] == 1);
    p = realloc(p, len + 5000);
    CHECK(p[8191] == 1 && p[8192] == 0);
    free(p);
}
CASE(pages_of_a_block_are_read_only) {
    char *p = aligned_alloc(4096, 5 * 4096);
    memset(p, 3, 5 * 4096);
    CHECK(mprotect(p + 4096, 8192, PROT_READ) == 0);
    CHECK(p[5000] == 3);
    p[4095] = 4;
    CHECK(mprotect(p + 4096, 8192, PROT_READ | PROT_WRITE) == 0);
    p[5000] = 5;
    free(p);
}
CASE(break_of_own) {
    void *block = malloc(99);
    char *start = sbrk(65536);
    CHECK(start != (void *)-1 && sbrk(4096) == start + 65536);
    *(void **)start = block;
    memset(start + 65536, 1, 4096);
    CHECK(sbrk(-4096) != (void *)-1);
}
CASE(pointers_in_shared_memory) {
    static void **shared, **file, **segment;
    int memory = memfd_create("shared", 0), id = shmget(IPC_PRIVATE, 4096, 0600);
    CHECK(ftruncate(memory, 4096) == 0 && id >= 0);
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    file = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    segment = shmat(id, NULL, 0);
    shmctl(id, IPC_RMID, NULL);
    shared[3] = malloc(10);
    file[4] = malloc(11);
    segment[5] = malloc(12);
}
CASE(xor_list) {
    struct Pair { uintptr_t both; int value; } *first = NULL, *last = NULL;
    for (int i = 0; i < 100; i++) {
        struct Pair *next = malloc(sizeof *next);
        *next = (struct Pair){(uintptr_t)last, i};
        if (last) last->both ^= (uintptr_t)next;
        if (!first) first = next;
        last = next;
    }
    int all = 0;
    uintptr_t before = 0;
    for (struct Pair *it = first; it;) {
        struct Pair *next = (struct Pair *)(it->both ^ before), *done = it;
        all += it->value;
        before = (uintptr_t)it;
        it = next;
        free(done);
    }
    printf("%d\n", all);
}
CASE(members_lead_to_their_owners) {
    struct Ring { struct Ring *next; };
    struct Owner { char name[40]; struct Ring ring; char more[40]; };
    static struct Ring all = {&all};
    for (int i = 0; i < 30; i++) {
        struct Owner *owner = calloc(1, sizeof *owner);
        owner->ring.next = all.next;
        all.next = &owner->ring;
    }
}

/* Sizes and errors. */

CASE(sparse_and_zero) {
    size_t len = (size_t)4 << 30;
    char *p = calloc(len, 1);
    CHECK(p);
    for (size_t at = 0; at < len; at += len / 16) CHECK(p[at] == 0);
    p[len / 2] = 1;
    free(p);
}
CASE(grows_step_by_step) {
    size_t len = 1;
    char *p = NULL;
    for (; len < 40 << 20; len += len / 2 + 1) {
        p = realloc(p, len);
        CHECK(p);
        p[len - 1] = (char)len;
        p[0] = 1;
    }
    for (; len > 0; len /= 3) {
        p = realloc(p, len);
        CHECK(p[0] == 1);
    }
    free(p);
}
CASE(refused_requests) {
    volatile size_t most = PTRDIFF_MAX, large = (size_t)1 << 46;
    void *p = malloc(100);
    errno = 0;
    CHECK(malloc(most + 1) == NULL && errno == ENOMEM);
    CHECK(calloc(most, 3) == NULL && realloc(p, most + 7) == NULL);
    CHECK(reallocarray(p, most, 2) == NULL && aligned_alloc(4096, most) == NULL);
    CHECK(posix_memalign(&p, 7, 10) == EINVAL && malloc(large) == NULL);
    CHECK(pvalloc(most) == NULL && memalign(64, most) == NULL);
    free(p);
}
CASE(empty_blocks) {
    void *all[100];
    for (int i = 0; i < 100; i++) {
        all[i] = i % 3 == 0 ? malloc(0) : i % 3 == 1 ? calloc(0, 8) : realloc(NULL, 0);
        CHECK(all[i]);
        for (int j = 0; j < i; j++) CHECK(all[j] != all[i]);
    }
    for (int i = 0; i < 100; i++) {
        if (i % 2) all[i] = realloc(all[i], 10);
        free(all[i]);
    }
    free(NULL);
    char *p = malloc(10);
    CHECK(realloc(p, 0) == NULL);
}

/* Lengths that are limits, not counts. */

CASE(limits_larger_than_blocks) {
    char *text = malloc(8), *other = malloc(8), *bytes = malloc(16), *room = malloc(100);
    memcpy(text, "letters", 8);
    memcpy(other, "letterz", 8);
    memset(bytes, 'b', 16);
    CHECK(strncmp(text, other, 1000) < 0 && strncasecmp(text, "LETTERS", 500) == 0);
    CHECK(strnlen(text, 4000) == 7 && memchr(text, 't', 4000) == text + 2);
    CHECK(memccpy(room, text, 0, 4000) == room + 8);
    CHECK(strnlen(bytes, 16) == 16 && snprintf(room, 100, "%.*s", 16, bytes) == 16);
    CHECK(strncpy(room, text, 100) == room && room[99] == 0);
    char *copy = strndup(bytes, 16), *whole = strndup(text, 4000);
    CHECK(strlen(copy) == 16 && strlen(whole) == 7);
    CHECK(strncat(room, bytes, 16) == room && strlen(room) == 23);
    CHECK(rawmemchr(text, 'r') == text + 5 && memrchr(text, 'e', 8) == text + 4);
    CHECK(memmem(text, 8, "ers", 4) == text + 4 && stpncpy(room, text, 50) == room + 7);
    memcpy(bytes + 16, text + 8, 0);
    memmove(text + 8, bytes, 0);
    memset(bytes + 16, 0, 0);
    CHECK(memcmp(bytes + 16, text + 8, 0) == 0);
    CHECK(write(1, text + 8, 0) == 0 && fwrite(text + 8, 1, 0, stdout) == 0);
    free(text);
    free(other);
    free(bytes);
    free(room);
    free(copy);
    free(whole);
}
CASE(wide_limits) {
    wchar_t *text = wcsdup(L"wide"), *room = malloc(5 * sizeof *room);
    CHECK(wcsncmp(text, L"wider", 4000) < 0 && wcsnlen(text, 4000) == 4);
    CHECK(wcscpy(room, text) == room && wmemchr(room, L'e', 5) == room + 3);
    CHECK(swprintf(room, 5, L"%d", 1234) == 4 && wcstol(room, NULL, 10) == 1234);
    free(text);
    free(room);
}
CASE(less_comes_than_was_asked_for) {
    int ends[2], sockets[2];
    char *small = malloc(10);
    CHECK(pipe(ends) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    CHECK(write(ends[1], "12345", 5) == 5 && write(sockets[1], "678", 3) == 3);
    CHECK(read(ends[0], small, 4096) == 5 && memcmp(small, "12345", 5) == 0);
    CHECK(recv(sockets[0], small + 5, 4096, 0) == 3);
    FILE *file = fmemopen("text", 4, "r");
    CHECK(fread(small, 1, 10, file) == 4);
    fclose(file);
    CHECK(read(-1, small, 4096) == -1 && errno == EBADF);
    free(small);
}
CASE(several_messages) {
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0);
    struct mmsghdr in[3] = {0}, out[3] = {0};
    struct iovec from[3], to[3];
    for (int i = 0; i < 3; i++) {
        from[i] = (struct iovec){strdup("message"), 8};
        to[i] = (struct iovec){malloc(8), 8};
        out[i].msg_hdr = (struct msghdr){.msg_iov = &from[i], .msg_iovlen = 1};
        in[i].msg_hdr = (struct msghdr){.msg_iov = &to[i], .msg_iovlen = 1};
    }
    CHECK(sendmmsg(ends[0], out, 3, 0) == 3 && recvmmsg(ends[1], in, 3, 0, NULL) == 3);
    for (int i = 0; i < 3; i++) {
        CHECK(strcmp(to[i].iov_base, "message") == 0);
        free(from[i].iov_base);
        free(to[i].iov_base);
    }
}
CASE(read_by_threads_of_libc) {
    char *buffer = calloc(1, 5000);
    struct aiocb *request = calloc(1, sizeof *request);
    request->aio_fildes = open("/proc/self/status", O_RDONLY);
    request->aio_buf = buffer;
    request->aio_nbytes = 4999;
    CHECK(aio_read(request) == 0);
    while (aio_error(request) == EINPROGRESS) usleep(500);
    CHECK(aio_return(request) > 10 && strncmp(buffer, "Name:", 5) == 0);
    close(request->aio_fildes);
    free(buffer);
    free(request);
}

/* Processes and threads. */

static void *fork_here(void *unused) {
    char *text = strdup("before the fork");
    pid_t child = fork();
    if (child == 0) {
        text = realloc(text, 5000);
        free(strdup(text));
        free(text);
        exit(7);
    }
    CHECK(status_of(child) == 7);
    free(text);
    return unused;
}
CASE(threads_fork) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, fork_here, NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}
static void *at_fork;
static void before_fork(void) { at_fork = malloc(123); }
static void after_fork(void) {
    free(at_fork);
    at_fork = strdup("after");
}
CASE(fork_handlers_allocate) {
    pthread_atfork(before_fork, after_fork, after_fork);
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        if (child == 0) exit(strcmp(at_fork, "after"));
        CHECK(status_of(child) == 0);
        free(at_fork);
    }
    at_fork = NULL;
}
static int clone_child(void *shared) {
    *(volatile int *)shared = 42;
    return write(1, "child\n", 6) == 6 ? 5 : 6;
}
CASE(clone_that_shares_memory) {
    char *stack = malloc(65536);
    int *shared = calloc(1, sizeof *shared);
    int flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
    pid_t child = clone(clone_child, stack + 65536 - 64, flags, shared);
    CHECK(status_of(child) == 5 && *shared == 42);
    free(stack);
    free(shared);
}
CASE(spawned_with_file_actions) {
    char *arguments[] = {"echo", "spawned", NULL}, *none[] = {NULL}, line[32] = {0};
    int ends[2];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    CHECK(pipe(ends) == 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    pid_t child;
    CHECK(posix_spawn(&child, "/bin/echo", &actions, &attributes, arguments, none) == 0);
    CHECK(status_of(child) == 0 && read(ends[0], line, 32) == 8);
    CHECK(posix_spawnp(&child, "no-such-program", NULL, NULL, arguments, environ) == ENOENT);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    fputs(line, stdout);
}
static void free_it(void *block) { free(block); }
static void *read_until_cancelled(void *descriptor) {
    char *buffer = malloc(100);
    pthread_cleanup_push(free_it, buffer);
    while (read((int)(intptr_t)descriptor, buffer, 100) >= 0) continue;
    pthread_cleanup_pop(1);
    return NULL;
}
CASE(cancelled_in_system_calls) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    for (int i = 0; i < 5; i++) {
        pthread_t thread;
        void *result;
        pthread_create(&thread, NULL, read_until_cancelled, (void *)(intptr_t)ends[0]);
        CHECK(write(ends[1], "text", 4) == 4);
        usleep(2000);
        pthread_cancel(thread);
        pthread_join(thread, &result);
        CHECK(result == PTHREAD_CANCELED);
    }
}
static void *leave_the_process(void *block) {
    free(block);
    exit(3);
}
CASE(another_thread_exits) {
    void *volatile mine = malloc(200);
    pthread_t thread;
    pthread_create(&thread, NULL, leave_the_process, strdup("for the thread"));
    for (;;) {
        usleep(1000);
        *(volatile char *)mine = 1;
    }
}
static void *take_from_pipe(void *descriptor) {
    void *block;
    while (read((int)(intptr_t)descriptor, &block, sizeof block) > 0) free(block);
    return NULL;
}
CASE(blocks_go_through_a_pipe) {
    int ends[2];
    pthread_t thread;
    CHECK(pipe(ends) == 0);
    pthread_create(&thread, NULL, take_from_pipe, (void *)(intptr_t)ends[0]);
    for (int i = 0; i < 500; i++) {
        void *block = malloc((size_t)i);
        CHECK(write(ends[1], &block, sizeof block) == sizeof block);
    }
    close(ends[1]);
    pthread_join(thread, NULL);
}
CASE(without_an_environment) {
    char *none[] = {NULL}, *arguments[] = {"odd", "empty_blocks", NULL};
    pid_t child = fork();
    if (child == 0) {
        execve("/proc/self/exe", arguments, none);
        _exit(1);
    }
    CHECK(status_of(child) == 0);
    for (int i = 0; i < 50; i++) {
        char name[16];
        snprintf(name, sizeof name, "NAME_%d", i);
        CHECK(setenv(name, "a value", 1) == 0 && setenv(name, "another, longer value", 1) == 0);
    }
    unsetenv("NAME_3");
    CHECK(getenv("NAME_4") && !getenv("NAME_3"));
}

/* Faults of the program's own, and systems that refuse. */

static sigjmp_buf back;
static void jump_back(int number) { siglongjmp(back, number); }
static bool is_readable(const volatile char *p) {
    if (sigsetjmp(back, 1)) return false;
    return *p || true;
}
CASE(asks_by_faults) {
    struct sigaction own = {.sa_handler = jump_back}, old;
    CHECK(sigaction(SIGSEGV, &own, &old) == 0 && sigaction(SIGBUS, &own, NULL) == 0);
    char *p = malloc(100), *gone = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(is_readable(p) && is_readable((char *)&own) && !is_readable(gone));
    CHECK(!is_readable((char *)8) && !is_readable((char *)((uintptr_t)p | (uintptr_t)1 << 60)));
    free(p);
    sigaction(SIGSEGV, &old, NULL);
}
CASE(cannot_be_dumped) {
    CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
    kept = malloc(500);
    free(strdup("text"));
}
CASE(a_filter_refuses_calls) {
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mremap, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    struct sock_fprog program = {sizeof steps / sizeof *steps, steps};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
    churn(300);
    kept = malloc(600);
    char *p = malloc(3 << 20);
    p = realloc(p, 6 << 20);
    CHECK(p);
    p[5 << 20] = 1;
    free(p);
}
