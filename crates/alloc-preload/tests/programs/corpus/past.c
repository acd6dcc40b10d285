/* Bytes outside a block: past its end, before its start. */
#define _GNU_SOURCE
#include "corpus.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

HIDDEN void past(size_t size) {
    Bytes p = malloc(size); // alloc past_#
    p[size] = 0; // at past_#
    free((void *)p); // told past_#
}
HIDDEN void past_kept(size_t size) {
    Bytes p = malloc(size); // alloc past_kept_#
    kept = (void *)p;
    p[size] = 0; // at past_kept_#
}
HIDDEN void before(size_t size) {
    Bytes other = malloc(size), p = malloc(size); // alloc before_#
    p[-1] = 0; // at before_#
    free((void *)p); // told before_#
    free((void *)other);
}
HIDDEN void read_past(size_t size) {
    Bytes p = malloc(size); // alloc read_past_#
    sum = p[size]; // at read_past_#
    free((void *)p);
}
HIDDEN void read_before(size_t size) {
    Bytes p = malloc(size); // alloc read_before_#
    sum = p[-1]; // at read_before_#
    free((void *)p);
}
/* One byte, at sizes around those where blocks are placed in another way. */
CASE(past_1) { past(1); } // block 1, offset 1
CASE(past_13) { past(13); } // block 13, offset 13
CASE(past_16) { past(16); } // block 16, offset 16
CASE(past_24) { past(24); } // block 24, offset 24
CASE(past_100) { past(100); } // block 100, offset 100
CASE(past_1000) { past(1000); } // block 1000, offset 1000
CASE(past_4088) { past(4088); } // block 4088, offset 4088
CASE(past_4096) { past(4096); } // block 4096, offset 4096
CASE(past_5000) { past(5000); } // block 5000, offset 5000
CASE(past_300001) { past(300001); } // block 300001, offset 300001
CASE(past_3145728) { past(3145728); } // block 3145728, offset 3145728
CASE(past_kept_1) { past_kept(1); } // block 1, offset 1
CASE(past_kept_13) { past_kept(13); } // block 13, offset 13
CASE(past_kept_16) { past_kept(16); } // block 16, offset 16
CASE(past_kept_24) { past_kept(24); } // block 24, offset 24
CASE(past_kept_100) { past_kept(100); } // block 100, offset 100
CASE(past_kept_1000) { past_kept(1000); } // block 1000, offset 1000
CASE(past_kept_4088) { past_kept(4088); } // block 4088, offset 4088
CASE(past_kept_4096) { past_kept(4096); } // block 4096, offset 4096
CASE(past_kept_5000) { past_kept(5000); } // block 5000, offset 5000
CASE(past_kept_300001) { past_kept(300001); } // block 300001, offset 300001
CASE(past_kept_3145728) { past_kept(3145728); } // block 3145728, offset 3145728
CASE(read_past_1) { read_past(1); } // block 1, offset 1
CASE(read_past_13) { read_past(13); } // block 13, offset 13
CASE(read_past_16) { read_past(16); } // block 16, offset 16
CASE(read_past_24) { read_past(24); } // block 24, offset 24
CASE(read_past_100) { read_past(100); } // block 100, offset 100
CASE(read_past_1000) { read_past(1000); } // block 1000, offset 1000
CASE(read_past_4088) { read_past(4088); } // block 4088, offset 4088
CASE(read_past_4096) { read_past(4096); } // block 4096, offset 4096
CASE(read_past_5000) { read_past(5000); } // block 5000, offset 5000
CASE(read_past_300001) { read_past(300001); } // block 300001, offset 300001
CASE(read_past_3145728) { read_past(3145728); } // block 3145728, offset 3145728
CASE(before_1) { before(1); } // block 1, offset -1
CASE(before_13) { before(13); } // block 13, offset -1
CASE(before_16) { before(16); } // block 16, offset -1
CASE(before_24) { before(24); } // block 24, offset -1
CASE(before_100) { before(100); } // block 100, offset -1
CASE(before_1000) { before(1000); } // block 1000, offset -1
CASE(before_4088) { before(4088); } // block 4088, offset -1
CASE(before_4096) { before(4096); } // block 4096, offset -1
CASE(before_5000) { before(5000); } // block 5000, offset -1
CASE(before_300001) { before(300001); } // block 300001, offset -1
CASE(before_3145728) { before(3145728); } // block 3145728, offset -1
CASE(read_before_1) { read_before(1); } // block 1, offset -1
CASE(read_before_13) { read_before(13); } // block 13, offset -1
CASE(read_before_16) { read_before(16); } // block 16, offset -1
CASE(read_before_24) { read_before(24); } // block 24, offset -1
CASE(read_before_100) { read_before(100); } // block 100, offset -1
CASE(read_before_1000) { read_before(1000); } // block 1000, offset -1
CASE(read_before_4088) { read_before(4088); } // block 4088, offset -1
CASE(read_before_4096) { read_before(4096); } // block 4096, offset -1
CASE(read_before_5000) { read_before(5000); } // block 5000, offset -1
CASE(read_before_300001) { read_before(300001); } // block 300001, offset -1
CASE(read_before_3145728) { read_before(3145728); } // block 3145728, offset -1

CASE(strcpy_off_by_one) { // block 5, offset 5
    char *p = malloc(5); // alloc
    LAUNDER(p);
    strcpy(p, "hello"); // at
    free(p); // told
}
CASE(strcat_too_long) { // block 8, offset 8
    char *p = malloc(8); // alloc
    LAUNDER(p);
    strcpy(p, "1234");
    strcat(p, "56789"); // at
    free(p); // told
}
CASE(sprintf_too_long) { // block 8, offset 8
    char *p = malloc(8); // alloc
    LAUNDER(p);
    sprintf(p, "%d", 123456789); // at
    free(p); // told
}
CASE(snprintf_wrong_size) { // block 8, offset 8/16
    char *p = malloc(8); // alloc
    LAUNDER(p);
    snprintf(p, 100, "%s", "longer than that"); // at
    free(p); // told
}
CASE(strncpy_fills) { // block 10, offset 10/16
    char *p = malloc(10); // alloc
    LAUNDER(p);
    strncpy(p, "x", 20); // at
    free(p); // told
}
CASE(memset_too_long) { // block 100, offset 100
    char *p = malloc(100); // alloc
    LAUNDER(p);
    memset(p, 0, 104); // at
    free(p); // told
}
CASE(memset_much_too_long) { // block 1000, offset 1000/1008
    char *p = malloc(1000); // alloc
    LAUNDER(p);
    memset(p, 0, 1016); // at
    free(p); // told
}
CASE(memcpy_too_long) { // block 30, offset 30
    static char from[64];
    char *p = malloc(30); // alloc
    LAUNDER(p);
    memcpy(p, from, 31); // at
    free(p); // told
}
CASE(memmove_shifted) { // block 64, offset 64
    char *p = malloc(64); // alloc
    LAUNDER(p);
    memmove(p + 8, p, 64); // at
    free(p); // told
}
CASE(wcscpy_off_by_one) { // block 16, offset 16
    wchar_t *p = malloc(4 * sizeof *p); // alloc
    LAUNDER(p);
    wcscpy(p, L"four"); // at
    free(p); // told
}
CASE(loop_off_by_one) { // block 40, offset 40
    volatile int *volatile p = malloc(10 * sizeof *p); // alloc
    for (int i = 0; i <= 10; i++) p[i] = i; // at
    free((void *)p); // told
}
CASE(negative_index) { // block 40, offset -4
    volatile int *volatile p = malloc(10 * sizeof *p); // alloc
    for (int i = 9; i >= -1; i--) p[i] = i; // at
    free((void *)p); // told
}
struct Message {
    int len;
    char text[8];
};
CASE(struct_tail) { // block 12, offset 12
    struct Message *volatile p = malloc(sizeof *p); // alloc
    volatile char *text = p->text;
    for (int i = 0; i < 9; i++) text[i] = 'x'; // at
    free(p); // told
}
struct Flexible {
    size_t len;
    char text[];
};
CASE(flexible_array) { // block 18, offset 18
    struct Flexible *volatile p = malloc(sizeof *p + 10); // alloc
    volatile char *text = p->text;
    text[10] = 0; // at
    free(p); // told
}
struct Wide {
    long a, b, c, d;
};
CASE(size_of_pointer) { // block 8, offset 24
    struct Wide *volatile p = malloc(sizeof(p)); // alloc
    p->d = 4; // at
    free(p); // told
}
CASE(length_without_terminator) { // block 11, offset 11
    const char *text = "hello world";
    char *p = malloc(strlen(text)); // alloc
    LAUNDER(p);
    strcpy(p, text); // at
    free(p); // told
}
CASE(calloc_one_short) { // block 96, offset 96
    volatile double *volatile p = calloc(12, sizeof *p); // alloc
    p[12] = 1.0; // at
    free((void *)p); // told
}
CASE(matrix_row_too_far) { // block 400, offset 400
    volatile int *volatile p = malloc(10 * 10 * sizeof *p); // alloc
    p[10 * 10 + 0] = 1; // at
    free((void *)p); // told
}
CASE(past_usable_size) { // block 100
    Bytes p = malloc(100); // alloc
    p[malloc_usable_size((void *)p)] = 1; // at
    free((void *)p); // told
}
CASE(past_shrunk) { // block 50, offset 60
    Bytes p = malloc(100); // alloc
    p = realloc((void *)p, 50); // alloc
    p[60] = 1; // at
    free((void *)p); // told
}
CASE(past_grown) { // block 200, offset 200
    Bytes p = malloc(100); // alloc
    p = realloc((void *)p, 200); // alloc
    p[200] = 1; // at
    free((void *)p); // told
}
CASE(past_before_realloc) { // block 100, offset 100
    Bytes p = malloc(100); // alloc
    p[100] = 1; // at
    p = realloc((void *)p, 5000); // told
    free((void *)p);
}
CASE(past_aligned) { // block 100, offset 100
    Bytes p = aligned_alloc(256, 100); // alloc
    p[100] = 1; // at
    free((void *)p); // told
}
CASE(past_page_aligned) { // block 8191, offset 8191
    Bytes p = aligned_alloc(4096, 8191); // alloc
    p[8191] = 1; // at
    free((void *)p); // told
}
CASE(past_empty) { // block 0, offset 0
    Bytes p = malloc(0); // alloc
    p[0] = 1; // at
    free((void *)p); // told
}
CASE(past_by_seven) { // block 20, offset 27
    Bytes p = malloc(20); // alloc
    p[27] = 1; // at
    free((void *)p); // told
}
CASE(past_in_same_slack) { // block 33, offset 40
    Bytes p = malloc(33); // alloc
    p[40] = 1; // at
    free((void *)p); // told
}
CASE(past_far) { // block 100, offset 1000
    Bytes p = malloc(100); // alloc
    p[1000] = 1; // at
    free((void *)p);
}
CASE(past_into_neighbour) { // block 100, offset 100/112
    char *p = malloc(100), *q = malloc(100); // alloc
    LAUNDER(p);
    memset(p, 7, 160); // at
    free(p); // told
    free(q);
}
CASE(past_lost) { // block 100, offset 100
    Bytes p = malloc(100); // alloc
    p[100] = 1; // at
}
static void *write_past(void *unused) {
    Bytes p = malloc(100); // alloc past_by_thread
    p[100] = 1; // at past_by_thread
    free((void *)p); // told past_by_thread
    return unused;
}
CASE(past_by_thread) { // block 100, offset 100
    pthread_t thread;
    pthread_create(&thread, NULL, write_past, NULL);
    pthread_join(thread, NULL);
}
CASE(past_in_child) { // block 100, offset 100
    Bytes p = malloc(100); // alloc
    if (fork() == 0) {
        p[100] = 1; // at
        free((void *)p); // told
        exit(0);
    }
    wait(NULL);
    free((void *)p);
}
static volatile char *block_at_exit;
static void write_at_exit(void) {
    block_at_exit[100] = 1; // at past_in_exit_handler
}
CASE(past_in_exit_handler) { // block 100, offset 100
    block_at_exit = malloc(100); // alloc
    atexit(write_at_exit);
}
CASE(past_same_byte) { // block 100, offset 100
    Bytes p = malloc(100); // alloc
    p[100] = p[100]; // at
    free((void *)p);
}
CASE(past_by_read_call) { // block 10, offset 10
    int ends[2];
    char *p = malloc(10); // alloc
    LAUNDER(p);
    if (pipe(ends) || write(ends[1], "0123456789abcdef", 16) != 16) abort();
    sum = (int)read(ends[0], p, 16); // at
    free(p); // told
}
CASE(past_by_recv_call) { // block 10, offset 10
    int ends[2];
    char *p = malloc(10); // alloc
    LAUNDER(p);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) abort();
    if (send(ends[1], "0123456789abcdef", 16, 0) != 16) abort();
    sum = (int)recv(ends[0], p, 16, 0); // at
    free(p); // told
}
CASE(past_by_fread) { // block 10, offset 10
    FILE *file = fopen("/proc/self/status", "r");
    char *p = malloc(10); // alloc
    LAUNDER(p);
    sum = (int)fread(p, 1, 16, file); // at
    fclose(file);
    free(p); // told
}
CASE(past_by_fgets) { // block 10, offset 10/16
    FILE *file = fmemopen("a long line of text\n", 20, "r");
    char *p = malloc(10); // alloc
    LAUNDER(p);
    kept = fgets(p, 100, file); // at
    fclose(file);
    free(p); // told
}

CASE(before_by_eight) { // block 100
    Bytes other = malloc(100), p = malloc(100); // alloc
    p[-8] = 1; // at
    free((void *)p); // told
    free((void *)other);
}
CASE(before_by_sixteen) { // block 5000, offset -16
    Bytes p = malloc(5000); // alloc
    p[-16] = 1; // at
    free((void *)p); // told
}
CASE(before_kept) { // block 100, offset -1
    Bytes other = malloc(100), p = malloc(100); // alloc
    p[-1] = 1; // at
    kept = (void *)p;
    free((void *)other);
}
CASE(before_by_size_header) { // block 100, offset -8
    volatile size_t *volatile p = malloc(100); // alloc
    p[-1] = 0; // at
    free((void *)p); // told
}
CASE(before_by_strrchr) { // block 16, offset -1
    char *p = malloc(16), *end; // alloc
    LAUNDER(p);
    memset(p, ' ', 16);
    end = p + 15;
    while (end >= p && *end == ' ') end--;
    LAUNDER(end);
    *end = 0; // at
    free(p); // told
}
CASE(before_far) { // block 100, offset -4096/4096
    static void *all[100];
    for (int i = 0; i < 100; i++) all[i] = malloc(100); // alloc
    ((volatile char *)all[99])[-4096] = 1; // at
}

CASE(read_past_by_memcpy) { // block 100, offset 100/112
    static char to[200];
    char *p = malloc(100); // alloc
    LAUNDER(p);
    memcpy(to, p, 200); // at
    free(p);
}
CASE(read_past_by_strlen) { // block 16, offset 16/4096
    char *p = malloc(16); // alloc
    LAUNDER(p);
    memset(p, 'x', 16);
    sum = (int)strlen(p); // at
    free(p);
}
CASE(read_past_by_printf) { // block 32, offset 32/4096
    char *p = malloc(32); // alloc
    LAUNDER(p);
    memset(p, 'x', 32);
    sum = snprintf(NULL, 0, "%s", p); // at
    free(p);
}
CASE(read_past_by_loop) { // block 40, offset 40
    volatile int *volatile p = calloc(10, sizeof *p); // alloc
    for (int i = 0; i <= 10; i++) sum += p[i]; // at
    free((void *)p);
}
CASE(read_past_by_write_call) { // block 100, offset 100
    int ends[2];
    char *p = calloc(1, 100); // alloc
    LAUNDER(p);
    if (pipe(ends)) abort();
    sum = (int)write(ends[1], p, 120); // at
    free(p);
}
CASE(read_past_far) { // block 100, offset 2000
    Bytes p = malloc(100); // alloc
    sum = p[2000]; // at
    free((void *)p);
}
CASE(read_past_page) { // block 4096, offset 4096
    Bytes p = aligned_alloc(4096, 4096); // alloc
    sum = p[4096]; // at
    free((void *)p);
}
CASE(read_past_wide) { // block 20, offset 16/20
    volatile long *volatile p = malloc(20); // alloc
    sum = (int)p[2]; // at
    free((void *)p);
}
CASE(read_uninitialised) { // block 100, offset 50
    Bytes p = malloc(100); // alloc
    if (p[50]) puts("used"); // at
    free((void *)p);
}
CASE(inside_one_block) { // block 16, offset 8
    struct { char name[8], other[8]; } *p = malloc(sizeof *p); // alloc
    LAUNDER(p);
    strcpy(p->name, "12345678"); // at
    free(p);
}
