/* Blocks freed twice, addresses freed that are no block, and what `realloc` does to them. */
#define _GNU_SOURCE
#include "corpus.h"

#include <alloca.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static char global[64];
static const char constant[64] = "constant";
extern char **environ;

HIDDEN void run_thread(void *(*work)(void *), void *arg) {
    pthread_t thread;
    pthread_create(&thread, NULL, work, arg);
    pthread_join(thread, NULL);
}
static void *free_it(void *block) {
    free(block); // free twice_by_threads
    return NULL;
}

CASE(twice) { // block 100, offset 0
    Bytes p = malloc(100); // alloc
    free((void *)p); // free
    free((void *)p); // at
}
CASE(twice_tiny) { // block 1, offset 0
    Bytes p = malloc(1); // alloc
    free((void *)p); // free
    free((void *)p); // at
}
CASE(twice_empty) { // block 0, offset 0
    Bytes p = malloc(0); // alloc
    free((void *)p); // free
    free((void *)p); // at
}
CASE(twice_page) { // block 4096, offset 0
    Bytes p = malloc(4096); // alloc
    free((void *)p); // free
    free((void *)p); // at
}
CASE(twice_medium) { // block 300001, offset 0
    Bytes p = malloc(300001); // alloc
    free((void *)p); // free
    free((void *)p); // at
}
CASE(twice_large) { // block 5242880, offset 0
    Bytes p = malloc(5 << 20); // alloc
    free((void *)p); // free
    free((void *)p); // at
}
CASE(twice_aligned) { // block 100, offset 0
    Bytes p = memalign(1024, 100); // alloc
    free((void *)p); // free
    free((void *)p); // at
}
CASE(twice_alias) { // block 48, offset 0
    struct { char *a, *b; } both;
    both.a = both.b = malloc(48); // alloc
    LAUNDER(both.a);
    free(both.a); // free
    free(both.b); // at
}
CASE(twice_strdup) { // block 12, offset 0
    char *p = strdup("hello world"); // alloc
    LAUNDER(p);
    free(p); // free
    LAUNDER(p);
    free(p); // at
}
CASE(twice_with_others_between) { // block 100, offset 0
    Bytes p = malloc(100), q = malloc(100); // alloc
    free((void *)p); // free
    free((void *)q);
    free((void *)p); // at
}
CASE(twice_late) { // block 100, offset 0
    Bytes p = malloc(100); // alloc
    free((void *)p); // free
    churn(100);
    free((void *)p); // at
}
CASE(twice_by_threads) { // block 80, offset 0
    Bytes p = malloc(80); // alloc
    run_thread(free_it, (void *)p);
    free((void *)p); // at
}

static pthread_barrier_t barrier;
static void *race(void *block) {
    pthread_barrier_wait(&barrier);
    free(block); // free twice_racing at twice_racing
    return NULL;
}
CASE(twice_racing) { // block 2000, offset 0
    pthread_t threads[2];
    void *volatile p = malloc(2000); // alloc
    pthread_barrier_init(&barrier, NULL, 2);
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, race, p);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
}
CASE(twice_after_realloc) { // block 100, offset 0
    char *p = malloc(100), *q; // alloc
    LAUNDER(p);
    q = realloc(p, 10000); // free
    LAUNDER(p);
    free(p); // at
    free(q);
}
CASE(twice_after_realloc_to_zero) { // block 100, offset 0
    char *p = malloc(100); // alloc
    LAUNDER(p);
    if (realloc(p, 0)) abort(); // free
    LAUNDER(p);
    free(p); // at
}
CASE(twice_member) { // block 30, offset 0
    struct { char *name; } *p = malloc(sizeof *p);
    char *name = malloc(30); // alloc
    p->name = name;
    LAUNDER(p);
    free(p->name); // free
    free(p);
    LAUNDER(name);
    free(name); // at
}
static void *block_at_exit;
static void free_at_exit(void) {
    free(block_at_exit); // free twice_in_exit_handlers
}
static void free_at_exit_again(void) {
    free(block_at_exit); // at twice_in_exit_handlers
}
CASE(twice_in_exit_handlers) { // block 44, offset 0
    block_at_exit = malloc(44); // alloc
    atexit(free_at_exit_again);
    atexit(free_at_exit);
}
static void *block_of_destructor;
__attribute__((destructor)) static void destructor(void) {
    free(block_of_destructor); // at twice_in_destructor
}
CASE(twice_in_destructor) { // block 45, offset 0
    block_of_destructor = malloc(45); // alloc
    free(block_of_destructor); // free
}
static pthread_key_t key;
static void destroy_value(void *value) {
    free(value); // at twice_in_key_destructor
}
static void *set_key(void *value) {
    pthread_setspecific(key, value);
    free(value); // free twice_in_key_destructor
    return NULL;
}
CASE(twice_in_key_destructor) { // block 46, offset 0
    void *volatile p = malloc(46); // alloc
    pthread_key_create(&key, destroy_value);
    run_thread(set_key, p);
}
static void *block_of_signal;
static void handler(int number) {
    (void)number;
    free(block_of_signal); // at twice_in_signal_handler
}
CASE(twice_in_signal_handler) { // block 47, offset 0
    block_of_signal = malloc(47); // alloc
    free(block_of_signal); // free
    signal(SIGUSR1, handler);
    raise(SIGUSR1);
}
CASE(twice_in_child) { // block 48, offset 0
    void *volatile p = malloc(48); // alloc
    free(p); // free
    if (fork() == 0) {
        free(p); // at
        _exit(0);
    }
    wait(NULL);
}
CASE(twice_in_loop) { // block 24, offset 0
    char *row = malloc(24), *rows[3] = {row, row, row}; // alloc
    LAUNDER(row);
    for (int i = 0; i < 3; i++) free(rows[i]); // free, at
}

CASE(inside) { // block 100, offset 10
    char *p = malloc(100), *q = p + 10; // alloc
    LAUNDER(q);
    free(q); // at
    free(p);
}
CASE(inside_by_16) { // block 100, offset 16
    char *p = malloc(100), *q = p + 16; // alloc
    LAUNDER(q);
    free(q); // at
    free(p);
}
CASE(inside_advanced) { // block 21, offset 5
    char *p = strdup("    indented text..."), *q = p; // alloc
    LAUNDER(q);
    while (*q == ' ') q++;
    q++;
    free(q); // at
    free(p);
}
CASE(inside_large) { // block 5242880, offset 4194304
    char *p = malloc(5 << 20), *q = p + (4 << 20); // alloc
    LAUNDER(q);
    free(q); // at
    free(p);
}
CASE(inside_array) { // block 4000, offset 1996
    int *p = calloc(1000, sizeof *p), *q = &p[499]; // alloc
    LAUNDER(q);
    free(q); // at
    free(p);
}
CASE(inside_freed) { // block 100, offset 20
    char *p = malloc(100), *q = p + 20; // alloc
    LAUNDER(q);
    free(p); // free
    free(q); // at
}
CASE(off_by_minus_16) {
    char *p = malloc(100), *q = p - 16;
    LAUNDER(q);
    free(q); // at
    free(p);
}
CASE(one_past_the_end) {
    char *p = malloc(128), *q = p + 128;
    LAUNDER(q);
    free(q); // at
    free(p);
}
CASE(on_stack) { // stack address
    char local[32] = "x", *p = local;
    LAUNDER(p);
    free(p); // at
}
CASE(on_stack_by_alloca) { // stack address
    char *p = alloca(64);
    LAUNDER(p);
    free(p); // at
}
static void *free_on_stack(void *unused) {
    char local[32] = "x", *p = local;
    LAUNDER(p);
    free(p); // at on_stack_of_thread
    return unused;
}
CASE(on_stack_of_thread) { // stack address
    run_thread(free_on_stack, NULL);
}
static void *free_of_other_thread(void *place) {
    free(place); // at on_stack_of_other_thread
    return NULL;
}
CASE(on_stack_of_other_thread) { // stack address
    char local[32] = "x", *p = local;
    LAUNDER(p);
    run_thread(free_of_other_thread, p);
}
CASE(on_argument_strings) { // stack address
    char *p = environ[0];
    LAUNDER(p);
    free(p); // at
}
CASE(on_global) { // address in
    char *p = global;
    LAUNDER(p);
    free(p); // at
}
CASE(on_constant) { // address in
    char *p = (char *)constant;
    LAUNDER(p);
    free(p); // at
}
CASE(on_literal) { // address in
    char *p = "a literal";
    LAUNDER(p);
    free(p); // at
}
CASE(on_function) { // address in
    void *p = (void *)run_thread;
    LAUNDER(p);
    free(p); // at
}
CASE(on_stdout) { // address in
    void *p = stdout;
    LAUNDER(p);
    free(p); // at
}
CASE(on_errno) {
    void *p = &errno;
    LAUNDER(p);
    free(p); // at
}
CASE(on_mapping) { // foreign block
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    LAUNDER(p);
    free(p); // at
}
CASE(on_mapping_inside) { // foreign block
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q;
    q = p + 16;
    LAUNDER(q);
    free(q); // at
}
CASE(on_break) {
    char *p = sbrk(4096);
    LAUNDER(p);
    free(p); // at
}
CASE(on_wild) { // not mapped
    void *p = (void *)(uintptr_t)0x12345678;
    LAUNDER(p);
    free(p); // at
}
CASE(on_kernel_address) { // not mapped
    void *p = (void *)(uintptr_t)0xffff800012345678;
    LAUNDER(p);
    free(p); // at
}
CASE(on_small_integer) { // not mapped
    void *p = (void *)(uintptr_t)42;
    LAUNDER(p);
    free(p); // at
}
CASE(on_minus_one) { // not mapped
    void *p = (void *)(uintptr_t)-1;
    LAUNDER(p);
    free(p); // at
}
CASE(on_tagged_pointer) { // not mapped
    char *p = malloc(100), *q = (char *)((uintptr_t)p | (uintptr_t)7 << 56);
    LAUNDER(q);
    free(q); // at
    free(p);
}
CASE(on_low_tagged_pointer) { // block 100, offset 1
    char *p = malloc(100), *q = p + 1; // alloc
    LAUNDER(q);
    free(q); // at
    free(p);
}
CASE(on_uninitialised_pointer) {
    void **p = malloc(64), *q;
    LAUNDER(p);
    q = p[3];
    LAUNDER(q);
    free(q); // at
    free(p);
}
CASE(on_truncated_pointer) {
    char *p = malloc(100), *q = (char *)(uintptr_t)(uint32_t)(uintptr_t)p;
    LAUNDER(q);
    free(q); // at
    free(p);
}

CASE(realloc_freed) { // block 100, offset 0
    char *p = malloc(100); // alloc
    LAUNDER(p);
    free(p); // free
    LAUNDER(p);
    kept = realloc(p, 200); // at
}
CASE(realloc_freed_late) { // block 100, offset 0
    char *p = malloc(100); // alloc
    LAUNDER(p);
    free(p); // free
    churn(100);
    kept = realloc(p, 200); // at
}
CASE(realloc_old_pointer) { // block 100, offset 0
    char *p = malloc(100), *q; // alloc
    LAUNDER(p);
    q = realloc(p, 5000); // free
    LAUNDER(p);
    kept = realloc(p, 6000); // at
    free(q);
}
CASE(realloc_inside) { // block 100, offset 16
    char *p = malloc(100), *q = p + 16; // alloc
    LAUNDER(q);
    kept = realloc(q, 200); // at
    free(p);
}
CASE(realloc_stack) { // stack address
    char local[32] = "x", *p = local;
    LAUNDER(p);
    kept = realloc(p, 200); // at
}
CASE(realloc_literal) { // address in
    char *p = "literal";
    LAUNDER(p);
    kept = realloc(p, 200); // at
}
CASE(realloc_wild) { // not mapped
    void *p = (void *)(uintptr_t)0x12345678;
    LAUNDER(p);
    kept = realloc(p, 200); // at
}
CASE(realloc_freed_to_zero) { // block 100, offset 0
    char *p = malloc(100); // alloc
    LAUNDER(p);
    free(p); // free
    LAUNDER(p);
    kept = realloc(p, 0); // at
}
CASE(reallocarray_freed) { // block 100, offset 0
    char *p = malloc(100); // alloc
    LAUNDER(p);
    free(p); // free
    LAUNDER(p);
    kept = reallocarray(p, 10, 20); // at
}
CASE(usable_size_of_freed) { // block 100, offset 0
    char *p = malloc(100); // alloc
    LAUNDER(p);
    free(p); // free
    LAUNDER(p);
    sum = (int)malloc_usable_size(p); // at
}
