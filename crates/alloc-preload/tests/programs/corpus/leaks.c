/* Blocks that nobody can free any more. */
#define _GNU_SOURCE
#include "corpus.h"

#include <dirent.h>
#include <netdb.h>
#include <pthread.h>
#include <regex.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

HIDDEN void *make(size_t size) {
    return malloc(size); // alloc lost_through_calls
}

CASE(lost_malloc) { // lost 100
    Bytes p = malloc(100); // alloc
    p[0] = 1;
}
CASE(lost_zero_bytes) { // lost 0
    Bytes p = malloc(0); // alloc
    (void)p;
}
CASE(lost_calloc) { // lost 800
    Bytes p = calloc(100, 8); // alloc
    p[0] = 1;
}
CASE(lost_large) { // lost 3145728
    Bytes p = malloc(3 << 20); // alloc
    p[0] = 1;
}
CASE(lost_aligned) { // lost 5000
    void *p = NULL;
    if (posix_memalign(&p, 4096, 5000)) abort(); // alloc
    LAUNDER(p);
}
CASE(lost_overwritten) { // lost 20
    kept = malloc(20); // alloc
    kept = malloc(21);
    free(kept);
}
CASE(lost_through_calls) { // lost 333
    Bytes p = make(333); // alloc
    p[0] = 1;
}
CASE(lost_in_a_loop) { // lost 100000
    for (int i = 0; i < 1000; i++) {
        Bytes p = malloc(100); // alloc
        p[0] = 1;
    }
}
CASE(lost_on_an_error_path) { // lost 256
    char *line = malloc(256); // alloc
    LAUNDER(line);
    line[0] = 'x';
    if (strtol("not a number", NULL, 10) == 0) return;
    free(line);
}

struct Person {
    char *name;
    struct Person *next, *other;
};
HIDDEN struct Person *person(void) {
    return calloc(1, sizeof(struct Person)); // alloc lost_list lost_cycle lost_tree
}

CASE(lost_member) { // lost 40
    struct Person *p = person();
    p->name = malloc(40); // alloc
    LAUNDER(p);
    free(p);
}
CASE(lost_array_of_pointers) { // lost 96
    char **rows = malloc(3 * sizeof *rows);
    for (int i = 0; i < 3; i++) rows[i] = malloc(32); // alloc
    LAUNDER(rows);
    free(rows);
}
CASE(lost_list) { // lost 24, indirect 96
    struct Person *head = NULL;
    for (int i = 0; i < 5; i++) {
        struct Person *p = person();
        p->next = head;
        head = p;
    }
    LAUNDER(head);
}
CASE(lost_tree) { // lost 24, indirect 48
    struct Person *root = person();
    root->next = person();
    root->other = person();
    LAUNDER(root);
}
CASE(lost_cycle) { // lost 24, indirect 24
    struct Person *a = person(), *b = person();
    a->next = b;
    b->next = a;
    LAUNDER(a);
}
CASE(lost_self_cycle) { // lost 24
    struct Person *a = calloc(1, sizeof *a); // alloc
    a->next = a;
    LAUNDER(a);
}

static void *leak_in_thread(void *unused) {
    Bytes p = malloc(70); // alloc lost_in_thread
    p[0] = 1;
    return unused;
}
CASE(lost_in_thread) { // lost 70
    pthread_t thread;
    pthread_create(&thread, NULL, leak_in_thread, NULL);
    pthread_join(thread, NULL);
}
static void *result_of_thread(void *unused) {
    (void)unused;
    return malloc(71); // alloc lost_result_of_thread
}
CASE(lost_result_of_thread) { // lost 71
    pthread_t thread;
    pthread_create(&thread, NULL, result_of_thread, NULL);
    pthread_join(thread, NULL);
}
static pthread_key_t key;
static void *set_key(void *unused) {
    pthread_setspecific(key, malloc(72)); // alloc lost_thread_specific
    return unused;
}
CASE(lost_thread_specific) { // lost 72
    pthread_t thread;
    pthread_key_create(&key, NULL);
    pthread_create(&thread, NULL, set_key, NULL);
    pthread_join(thread, NULL);
}
CASE(lost_failed_realloc) { // lost 60
    char *p = malloc(60); // alloc
    LAUNDER(p);
    p = realloc(p, PTRDIFF_MAX);
    if (p) abort();
}
CASE(lost_after_realloc) { // lost 6000
    char *p = malloc(60);
    LAUNDER(p);
    p = realloc(p, 6000); // alloc
    LAUNDER(p);
}
CASE(lost_strdup) { // lost 5
    Bytes p = strdup("text"); // alloc
    p[0] = 1;
}
CASE(lost_wcsdup) { // lost 20
    wchar_t *p = wcsdup(L"text"); // alloc
    LAUNDER(p);
}
CASE(lost_getline) { // lost 120
    FILE *file = fmemopen("a line\nmore\n", 12, "r");
    char *line = NULL;
    size_t len = 0;
    if (getline(&line, &len, file) < 0) abort(); // alloc
    LAUNDER(line);
    fclose(file);
}
CASE(lost_asprintf) { // lost 13
    char *text;
    if (asprintf(&text, "%d and %s", 12, "a str") < 0) abort(); // alloc
    LAUNDER(text);
}
CASE(lost_directory) {
    DIR *dir = opendir("/"); // alloc
    LAUNDER(dir);
}
CASE(lost_regex) {
    regex_t *regex = malloc(sizeof *regex);
    regcomp(regex, "(a|b)*c", REG_EXTENDED); // alloc
    LAUNDER(regex);
    free(regex);
}
CASE(lost_addresses) {
    struct addrinfo *list = NULL, hints = {.ai_flags = AI_NUMERICHOST};
    if (getaddrinfo("127.0.0.1", "80", &hints, &list)) abort(); // alloc
    LAUNDER(list);
}
CASE(lost_open_memstream) {
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len); // alloc
    fputs("forgotten", file);
    fclose(file); // alloc
    text = NULL;
    LAUNDER(text);
}
CASE(lost_in_child) { // lost 55
    if (fork() == 0) {
        Bytes p = malloc(55); // alloc
        p[0] = 1;
        p = NULL;
        wipe();
        exit(0);
    }
    wait(NULL);
}
static void leak_at_exit(void) {
    Bytes p = malloc(56); // alloc lost_in_exit_handler
    p[0] = 1;
    p = NULL;
    wipe();
}
CASE(lost_in_exit_handler) { // lost 56
    atexit(leak_at_exit);
}
CASE(lost_beside_reachable) { // lost 90
    kept = malloc(1000);
    Bytes p = malloc(90); // alloc
    p[0] = 1;
}
CASE(lost_behind_freed) { // lost 90
    void **outer = malloc(200);
    outer[3] = malloc(90); // alloc
    LAUNDER(outer);
    kept = outer;
    free(outer);
}
/* Between live blocks, whose slabs stay, all freed slabs are swept. */
CASE(lost_among_swept) { // lost 1000
    static void *held[400];
    for (int i = 0; i < 200000; i++) {
        void **p = malloc(100); // alloc
        if (i % 500 == 0) held[i / 500] = p;
        p[3] = p;
        if (i % 500 && i % 20000 != 7) free(p);
    }
    sum = held[3] != NULL;
}

/* What is not lost, as something leads to it. */
CASE(held_by_interior) {
    kept = (char *)malloc(300) + 100; // alloc
}
CASE(held_by_open_stream) {
    FILE *file = fopen("/dev/null", "r"); // alloc
    LAUNDER(file);
}
/* What looks lost, as the pointer to it is not stored as one. */
CASE(held_by_hidden_pointer) { // lost 64
    kept = (void *)~(uintptr_t)malloc(64); // alloc
}
