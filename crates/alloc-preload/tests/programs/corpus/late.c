/* Blocks used after they were freed. */
#define _GNU_SOURCE
#include "corpus.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

HIDDEN void run_thread(void *(*work)(void *), void *arg) {
    pthread_t thread;
    pthread_create(&thread, NULL, work, arg);
    pthread_join(thread, NULL);
}

CASE(write_small) { // block 100, offset 50
    Bytes p = malloc(100); // alloc
    free((void *)p); // free
    p[50] = 1; // at
}
CASE(write_first_byte) { // block 24, offset 0
    Bytes p = malloc(24); // alloc
    free((void *)p); // free
    p[0] = 1; // at
}
CASE(write_last_byte) { // block 24, offset 23
    Bytes p = malloc(24); // alloc
    free((void *)p); // free
    p[23] = 1; // at
}
CASE(write_page) { // block 4096, offset 4000
    Bytes p = malloc(4096); // alloc
    free((void *)p); // free
    p[4000] = 1; // at
}
CASE(write_medium) { // block 300001, offset 150000
    Bytes p = malloc(300001); // alloc
    free((void *)p); // free
    p[150000] = 1; // at
}
CASE(write_large) { // block 5242880, offset 4194304
    Bytes p = malloc(5 << 20); // alloc
    free((void *)p); // free
    p[4 << 20] = 1; // at
}
CASE(write_zero) { // block 100, offset 50
    Bytes p = malloc(100); // alloc
    free((void *)p); // free
    p[50] = 0; // at
}
CASE(write_late) { // block 100, offset 50
    Bytes p = malloc(100); // alloc
    free((void *)p); // free
    churn(100);
    p[50] = 1; // at
}
CASE(write_late_zero) { // block 100, offset 50
    Bytes p = malloc(100); // alloc
    free((void *)p); // free
    churn(100);
    p[50] = 0; // at
}
CASE(write_then_many) { // block 100, offset 50
    Bytes p = malloc(100); // alloc
    free((void *)p); // free
    p[50] = 1; // at
    churn(100);
}
static void *write_it(void *block) {
    ((volatile char *)block)[7] = 1; // at write_by_thread
    return NULL;
}
CASE(write_among_swept) { // block 100, offset 50
    static void *held[400];
    Bytes p = NULL;
    for (int i = 0; i < 200000; i++) {
        char *q = malloc(100); // alloc
        LAUNDER(q);
        if (i % 500 == 0) held[i / 500] = q;
        if (i == 70007) p = q;
        if (i % 500) free(q); // free
    }
    p[50] = 0; // at
    for (int i = 0; i < 400; i++) free(held[i]);
}
CASE(write_by_thread) { // block 64, offset 7
    Bytes p = malloc(64); // alloc
    free((void *)p); // free
    run_thread(write_it, (void *)p);
}
CASE(write_old_pointer_after_realloc) { // block 100, offset 3
    Bytes p = malloc(100); // alloc
    char *q = realloc((void *)p, 10000); // free
    p[3] = 1; // at
    free(q);
}
CASE(write_by_memset) { // block 200, offset 0
    char *p = malloc(200); // alloc
    LAUNDER(p);
    free(p); // free
    LAUNDER(p);
    memset(p, 1, 200); // at
}
CASE(write_by_memcpy) { // block 200, offset 0
    char *p = malloc(200); // alloc
    LAUNDER(p);
    free(p); // free
    LAUNDER(p);
    memcpy(p, "some text that is copied", 24); // at
}
CASE(write_by_strcpy) { // block 40, offset 0
    char *p = malloc(40); // alloc
    LAUNDER(p);
    free(p); // free
    LAUNDER(p);
    strcpy(p, "late"); // at
}
CASE(write_by_sprintf) { // block 40, offset 0
    char *p = malloc(40); // alloc
    LAUNDER(p);
    free(p); // free
    LAUNDER(p);
    sprintf(p, "%d", 42); // at
}
struct Node {
    struct Node *next;
    int value;
    void (*call)(void);
};
CASE(write_member) { // block 24, offset 8
    struct Node *volatile node = calloc(1, sizeof *node); // alloc
    free(node); // free
    node->value = 5; // at
}
CASE(write_by_increment) { // block 24, offset 8
    struct Node *volatile node = calloc(1, sizeof *node); // alloc
    free(node); // free
    node->value++; // at
}
static volatile char *block_at_exit;
static void write_at_exit(void) {
    block_at_exit[9] = 1; // at write_in_exit_handler
}
CASE(write_in_exit_handler) { // block 64, offset 9
    block_at_exit = malloc(64); // alloc
    free((void *)block_at_exit); // free
    atexit(write_at_exit);
}
CASE(write_in_child) { // block 64, offset 9
    Bytes p = malloc(64); // alloc
    free((void *)p); // free
    if (fork() == 0) {
        p[9] = 1; // at
        exit(0);
    }
    wait(NULL);
}
static volatile char *block_of_signal;
static void handler(int number) {
    (void)number;
    block_of_signal[9] = 1; // at write_in_signal_handler
}
CASE(write_in_signal_handler) { // block 64, offset 9
    block_of_signal = malloc(64); // alloc
    free((void *)block_of_signal); // free
    signal(SIGUSR1, handler);
    raise(SIGUSR1);
}
CASE(write_by_read_call) { // block 100, offset 0
    int ends[2];
    Bytes p = malloc(100); // alloc
    free((void *)p); // free
    if (pipe(ends) || write(ends[1], "0123456789", 10) != 10) abort();
    sum = (int)read(ends[0], (void *)p, 10); // at
}
CASE(write_by_late_read_call) { // block 100, offset 0
    int ends[2];
    Bytes p = malloc(100); // alloc
    free((void *)p); // free
    churn(100);
    if (pipe(ends) || write(ends[1], "0123456789", 10) != 10) abort();
    sum = (int)read(ends[0], (void *)p, 10); // at
}

CASE(read_small) { // block 100, offset 50
    Bytes p = malloc(100); // alloc
    free((void *)p); // free
    sum = p[50]; // at
}
CASE(read_page) { // block 4096, offset 4000
    Bytes p = malloc(4096); // alloc
    free((void *)p); // free
    sum = p[4000]; // at
}
CASE(read_medium) { // block 300001, offset 150000
    Bytes p = malloc(300001); // alloc
    free((void *)p); // free
    sum = p[150000]; // at
}
CASE(read_large) { // block 5242880, offset 4194304
    Bytes p = malloc(5 << 20); // alloc
    free((void *)p); // free
    sum = p[4 << 20]; // at
}
CASE(read_late) { // block 100, offset 50
    Bytes p = malloc(100); // alloc
    free((void *)p); // free
    churn(100);
    sum = p[50]; // at
}
CASE(read_long_after) { // block 100, offset 50
    Bytes p = malloc(100); // alloc
    free((void *)p); // free
    for (int i = 0; i < 30; i++) churn(100);
    sum = p[50]; // at
}
CASE(read_after_many_sizes) { // block 500, offset 40
    Bytes p = malloc(500); // alloc
    free((void *)p); // free
    for (size_t i = 0; i < 50000; i++) {
        void *volatile block = malloc(1 + i * 37 % 2000);
        free(block);
    }
    sum = p[40]; // at
}
static void *read_it(void *block) {
    sum = ((volatile char *)block)[7]; // at read_by_thread
    return NULL;
}
CASE(read_by_thread) { // block 1048577, offset 7
    Bytes p = malloc((1 << 20) + 1); // alloc
    free((void *)p); // free
    run_thread(read_it, (void *)p);
}
CASE(read_old_pointer_after_realloc) { // block 2000000, offset 1999000
    Bytes p = malloc(2000000); // alloc
    char *q = realloc((void *)p, 20000000); // free
    sum = p[1999000]; // at
    free(q);
}
CASE(read_list_while_freeing) { // block 24, offset 0
    struct Node *head = NULL;
    for (int i = 0; i < 3; i++) {
        struct Node *node = calloc(1, sizeof *node); // alloc
        node->next = head;
        head = node;
    }
    LAUNDER(head);
    struct Node *volatile first = head, *next = head->next, *last = next->next;
    free(first); // free
    kept = first->next; // at
    free(next);
    free(last);
}
CASE(read_by_memcpy) { // block 200000, offset 0
    static char to[64];
    char *p = malloc(200000); // alloc
    LAUNDER(p);
    free(p); // free
    LAUNDER(p);
    memcpy(to, p, sizeof to); // at
}
CASE(read_by_strlen) { // block 40, offset 0
    char *p = strdup("a string that is freed before its end..."); // alloc
    LAUNDER(p);
    p[39] = 0;
    p = realloc(p, 40); // alloc
    LAUNDER(p);
    free(p); // free
    LAUNDER(p);
    sum = (int)strlen(p); // at
}
CASE(read_by_strcmp) { // block 41, offset 0
    char *p = strdup("a string that is freed before its end..."); // alloc
    LAUNDER(p);
    free(p); // free
    LAUNDER(p);
    sum = strcmp(p, "another"); // at
}
CASE(read_by_printf) { // block 300041, offset 0
    char *p = malloc(300041); // alloc
    strcpy(p, "text");
    LAUNDER(p);
    free(p); // free
    LAUNDER(p);
    printf("%.3s\n", p); // at
}
CASE(read_by_late_strlen) { // block 100, offset 0
    char *p = malloc(100); // alloc
    strcpy(p, "text");
    LAUNDER(p);
    free(p); // free
    churn(100);
    sum = (int)strlen(p); // at
}
CASE(read_by_late_memcmp) { // block 100, offset 0
    char *p = malloc(100); // alloc
    LAUNDER(p);
    free(p); // free
    churn(100);
    sum = memcmp(p, "some text that is compared", 26); // at
}
static int compare(const void *a, const void *b) {
    return *(const int *)a - *(const int *)b; // at read_by_qsort
}
CASE(read_by_qsort) { // block 400000, offset 0/4
    int *p = calloc(100000, sizeof *p); // alloc
    LAUNDER(p);
    free(p); // free
    LAUNDER(p);
    qsort(p, 3, sizeof *p, compare);
}
CASE(read_by_write_call) { // block 100, offset 0
    int ends[2];
    Bytes p = malloc(100); // alloc
    memset((void *)p, 'x', 100);
    free((void *)p); // free
    if (pipe(ends)) abort();
    sum = (int)write(ends[1], (void *)p, 10); // at
}
CASE(read_by_late_write_call) { // block 100, offset 0
    int ends[2];
    Bytes p = malloc(100); // alloc
    free((void *)p); // free
    churn(100);
    if (pipe(ends)) abort();
    sum = (int)write(ends[1], (void *)p, 10); // at
}
CASE(read_by_writev_call) { // block 100, offset 20
    int ends[2];
    Bytes p = malloc(100); // alloc
    free((void *)p); // free
    struct iovec parts[2] = {{"good", 4}, {(char *)p + 20, 10}};
    if (pipe(ends)) abort();
    sum = (int)writev(ends[1], parts, 2); // at
}
CASE(read_by_send_call) { // block 100, offset 0
    int ends[2];
    Bytes p = malloc(100); // alloc
    free((void *)p); // free
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) abort();
    sum = (int)send(ends[1], (void *)p, 10, 0); // at
}
CASE(write_by_recv_call) { // block 100, offset 0
    int ends[2];
    Bytes p = malloc(100); // alloc
    free((void *)p); // free
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) || send(ends[1], "text", 4, 0) != 4) abort();
    sum = (int)recv(ends[0], (void *)p, 10, 0); // at
}
CASE(read_by_open_call) { // block 100, offset 0
    char *p = malloc(100); // alloc
    strcpy(p, "/dev/null");
    LAUNDER(p);
    free(p); // free
    LAUNDER(p);
    sum = open(p, O_RDONLY); // at
}
CASE(call_through_freed) { // block 24, offset 0/16
    struct Node *volatile node = calloc(1, sizeof *node); // alloc
    node->call = wipe;
    free(node); // free
    node->call(); // at
}
static volatile char *block_read_at_exit;
static void read_at_exit(void) {
    sum = block_read_at_exit[9]; // at read_in_exit_handler
}
CASE(read_in_exit_handler) { // block 2000000, offset 9
    block_read_at_exit = malloc(2000000); // alloc
    free((void *)block_read_at_exit); // free
    atexit(read_at_exit);
}
CASE(read_in_child) { // block 2000000, offset 9
    Bytes p = malloc(2000000); // alloc
    free((void *)p); // free
    if (fork() == 0) {
        sum = p[9]; // at
        exit(0);
    }
    wait(NULL);
}
static void *read_from_little_stack(void *block) {
    sum = ((volatile char *)block)[11]; // at read_on_small_stack
    return NULL;
}
CASE(read_on_small_stack) { // block 2000000, offset 11
    pthread_attr_t attr;
    pthread_t thread;
    Bytes p = malloc(2000000); // alloc
    free((void *)p); // free
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 16384);
    pthread_create(&thread, &attr, read_from_little_stack, (void *)p);
    pthread_join(thread, NULL);
}
CASE(read_with_signals_blocked) { // block 2000000, offset 12
    sigset_t all;
    Bytes p = malloc(2000000); // alloc
    free((void *)p); // free
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    sum = p[12]; // at
}
static void own_handler(int number) {
    (void)number;
    static const char text[] = "the program's handler\n";
    sum = (int)write(1, text, sizeof text - 1);
    _exit(0);
}
CASE(read_under_own_handler) { // block 2000000, offset 13
    Bytes p = malloc(2000000); // alloc
    free((void *)p); // free
    signal(SIGSEGV, own_handler);
    sum = p[13]; // at
}
CASE(read_with_ignored_signal) { // block 2000000, offset 14
    Bytes p = malloc(2000000); // alloc
    free((void *)p); // free
    signal(SIGSEGV, SIG_IGN);
    sum = p[14]; // at
}
