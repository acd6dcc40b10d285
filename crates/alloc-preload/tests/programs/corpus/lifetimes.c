/* Blocks used, freed or forgotten at the wrong time, in the shapes that programs have. */
#define _GNU_SOURCE
#include "corpus.h"

#include <dirent.h>
#include <dlfcn.h>
#include <glob.h>
#include <libgen.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static size_t (*volatile length)(const char *) = strlen;

/* Used after the free. */

CASE(token_of_freed_line) { // block 300030, offset 4
    char *line = malloc(300030), *rest = NULL; // alloc
    LAUNDER(line);
    strcpy(line, "key value");
    strtok_r(line, " ", &rest);
    char *token = strtok_r(NULL, " ", &rest);
    free(line); // free
    sum = (int)length(token); // at
}
CASE(token_of_freed_small_line) { // block 30, offset 4/0/-2
    char *line = malloc(30), *rest = NULL; // alloc
    LAUNDER(line);
    strcpy(line, "key value");
    strtok_r(line, " ", &rest);
    char *token = strtok_r(NULL, " ", &rest);
    free(line); // free
    sum = (int)length(token); // at
}
CASE(line_of_getline_kept) { // block 120, offset 0
    char text[400], *line = NULL;
    size_t len = 0;
    memset(text, 'x', sizeof text);
    text[10] = text[399] = '\n';
    FILE *file = fmemopen(text, sizeof text, "r");
    if (getline(&line, &len, file) < 0) abort(); // alloc
    Bytes first = line;
    if (getline(&line, &len, file) < 0) abort(); // free
    first[0] = '#'; // at
    free(line);
    fclose(file);
}
struct Link {
    struct Link *next, *before;
    long value;
};
CASE(unlinked_after_the_free) { // block 24, offset 0
    struct Link *first = calloc(1, sizeof *first), *second = calloc(1, sizeof *second); // alloc
    first->next = second;
    second->before = first;
    LAUNDER(second);
    free(first); // free
    ((volatile struct Link *)second->before)->next = NULL; // at
    free(second);
}
CASE(bucket_of_old_table) { // block 512, offset 72
    long *table = calloc(64, sizeof *table); // alloc
    volatile long *bucket = table + 9;
    LAUNDER(table);
    long *larger = calloc(128, sizeof *larger);
    memcpy(larger, table, 512);
    free(table); // free
    *bucket = 1; // at
    free(larger);
}
struct Buffer {
    volatile char *base, *cursor;
};
CASE(cursor_into_grown_buffer) { // block 64, offset 60
    struct Buffer buffer;
    buffer.base = malloc(64); // alloc
    buffer.cursor = buffer.base + 60;
    LAUNDER(buffer.base);
    buffer.base = realloc((char *)buffer.base, 70000); // free
    *buffer.cursor = 'c'; // at
    free((char *)buffer.base);
}
CASE(wiped_after_the_free) { // block 32, offset 0
    char *key = malloc(32); // alloc
    LAUNDER(key);
    free(key); // free
    LAUNDER(key);
    memset(key, 0, 32); // at
}
CASE(tiny_written_after_free) { // block 1, offset 0
    Bytes flag = malloc(1); // alloc
    free((void *)flag); // free
    flag[0] = 1; // at
}
CASE(tiny_read_after_free) { // block 1, offset 0
    Bytes flag = malloc(1); // alloc
    free((void *)flag); // free
    sum = flag[0]; // at
}
CASE(huge_written_after_free) { // block 67108864, offset 33554432
    Bytes frame = malloc(64 << 20); // alloc
    frame[32 << 20] = 1;
    free((void *)frame); // free
    frame[32 << 20] = 2; // at
}
struct Timer {
    void (*call)(struct Timer *);
    int count;
};
static struct Timer *registered;
static void tick(struct Timer *timer) {
    ((volatile struct Timer *)timer)->count++; // at called_after_unregistering
}
CASE(called_after_unregistering) { // block 16, offset 8
    registered = malloc(sizeof *registered); // alloc
    void (*volatile call)(struct Timer *) = tick;
    registered->count = 0;
    free(registered); // free
    call(registered);
}
CASE(environment_that_was_freed) { // block 24, offset 0
    char *entry = malloc(24); // alloc
    LAUNDER(entry);
    strcpy(entry, "CORPUS_NAME=value");
    putenv(entry);
    free(entry); // free
    sum = getenv("CORPUS_NAME") != NULL; // at
    clearenv();
}
CASE(buffer_of_open_stream) { // block 4096, offset 0
    char *buffer = malloc(4096); // alloc
    FILE *null = fopen("/dev/null", "w");
    setvbuf(null, buffer, _IOFBF, 4096);
    fputs("first", null);
    LAUNDER(buffer);
    free(buffer); // free
    rewind(null); // at
    fputs("second", null); // at
    fclose(null); // at
}
CASE(read_into_freed) { // block 5000, offset 100
    int ends[2];
    Bytes p = malloc(5000); // alloc
    if (pipe(ends) || write(ends[1], "0123456789", 10) != 10) abort();
    free((void *)p); // free
    sum = (int)read(ends[0], (char *)p + 100, 10); // at
}
CASE(received_into_freed) { // block 64, offset 0
    int ends[2];
    Bytes p = malloc(64); // alloc
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) || write(ends[1], "text", 4) != 4) abort();
    free((void *)p); // free
    sum = (int)recvfrom(ends[0], (void *)p, 64, 0, NULL, NULL); // at
}
CASE(written_out_of_list_of_freed) { // block 40, offset 8
    int ends[2];
    char *head = calloc(1, 40), *body = calloc(1, 50); // alloc
    struct iovec list[2] = {{body, 50}, {head + 8, 20}};
    LAUNDER(head);
    free(head); // free
    if (pipe(ends)) abort();
    sum = (int)writev(ends[1], list, 2); // at
    free(body);
}
CASE(sent_after_free) { // block 2000, offset 16
    int ends[2];
    char *p = calloc(1, 2000); // alloc
    LAUNDER(p);
    struct iovec list = {p + 16, 100};
    struct msghdr message = {.msg_iov = &list, .msg_iovlen = 1};
    free(p); // free
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends)) abort();
    sum = (int)sendmsg(ends[0], &message, 0); // at
}

/* Freed by two, or by the wrong one. */

struct Session {
    char *user;
};
HIDDEN void close_session(struct Session *session) {
    free(session->user); // free two_owners at two_owners
}
CASE(two_owners) { // block 6, offset 0
    struct Session one = {strdup("alice")}, other = one; // alloc
    LAUNDER(one.user);
    close_session(&one);
    close_session(&other);
}
HIDDEN int parse(const char *text, char **out) {
    *out = strdup(text); // alloc error_path_and_clean_up
    if (strchr(text, '!') == NULL) return 0;
    free(*out); // free error_path_and_clean_up
    return -1;
}
CASE(error_path_and_clean_up) { // block 7, offset 0
    char *out = NULL;
    if (parse("wrong!", &out) < 0) goto clean_up;
    puts(out);
clean_up:
    free(out); // at
}
struct Shared {
    int count;
    char bytes[60];
};
HIDDEN void release(struct Shared *shared, int *count) {
    if (--*count <= 0) free(shared); // free count_that_goes_below at count_that_goes_below
}
CASE(count_that_goes_below) { // block 64, offset 0
    int count = 1;
    struct Shared *shared = malloc(sizeof *shared); // alloc
    LAUNDER(shared);
    release(shared, &count);
    release(shared, &count);
}
struct Text {
    char *bytes, small[16];
};
CASE(small_text_freed) { // block 24, offset 8
    struct Text *text = malloc(sizeof *text); // alloc
    text->bytes = text->small;
    LAUNDER(text);
    free(text->bytes); // at
    free(text);
}
CASE(small_text_on_stack_freed) { // stack address
    struct Text text;
    text.bytes = text.small;
    LAUNDER(text.bytes);
    free(text.bytes); // at
}
CASE(default_setting_freed) { // address in
    static const char *volatile setting = "default";
    free((void *)setting); // at
}
CASE(environment_entry_freed) { // stack address
    free(getenv("LC_ALL")); // at
}
CASE(file_name_freed) { // block 30, offset 9
    char *path = malloc(30); // alloc
    LAUNDER(path);
    strcpy(path, "/usr/lib/name");
    free(basename(path)); // at
    free(path);
}
CASE(time_of_libc_freed) { // address in libc
    time_t now = 0;
    free(gmtime(&now)); // at
}
CASE(shared_mapping_freed) { // memory that processes share
    char *shared = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    free(shared + 64); // at
}
CASE(failed_mapping_freed) { // address
    free(MAP_FAILED); // at
}
CASE(aligned_by_hand_freed) { // block 191, offset 48
    char *raw = malloc(191), *aligned = raw + 48; // alloc
    LAUNDER(aligned);
    free(aligned); // at
    free(raw);
}
CASE(end_freed) { // block 160, offset 160
    int *begin = malloc(160), *end = begin + 40; // alloc
    LAUNDER(end);
    free(end); // at
    free(begin);
}
CASE(encoded_pointer_freed) { // address
    uintptr_t hidden = (uintptr_t)malloc(50) ^ 0x5a5a5a5a5a5a5a5a;
    free((void *)hidden); // at
    free((void *)(hidden ^ 0x5a5a5a5a5a5a5a5a));
}
CASE(grown_from_stack) { // stack address
    char start[64], *p = start;
    LAUNDER(p);
    kept = realloc(p, 128); // at
}
CASE(grown_from_large_global) { // address in lifetimes
    static char start[64 << 10];
    char *p = start + (60 << 10);
    LAUNDER(p);
    kept = realloc(p, 128); // at
}
CASE(grown_from_global) { // address in lifetimes
    static char start[64];
    char *p = start;
    LAUNDER(p);
    kept = realloc(p, 128); // at
}
CASE(grown_from_inside) { // block 80, offset 16
    char *p = malloc(80); // alloc
    LAUNDER(p);
    kept = realloc(p + 16, 200); // at
    free(p);
}
CASE(grown_after_free) { // block 80, offset 0
    char *p = malloc(80); // alloc
    LAUNDER(p);
    free(p); // free
    LAUNDER(p);
    kept = realloc(p, 160); // at
}
static void *queue[2];
static pthread_barrier_t barrier;
static void *drain(void *unused) {
    void *mine = queue[0];
    pthread_barrier_wait(&barrier);
    free(mine); // free both_take_the_first at both_take_the_first
    return unused;
}
CASE(both_take_the_first) { // block 20000, offset 0
    pthread_t threads[2];
    queue[0] = malloc(20000); // alloc
    pthread_barrier_init(&barrier, NULL, 2);
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, drain, NULL);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    queue[0] = NULL;
}

/* Forgotten. */

static jmp_buf back;
HIDDEN void read_number(const char *text) {
    Bytes copy = malloc(90); // alloc lost_by_long_jump
    strcpy((char *)copy, text);
    if (copy[0] == 'x') longjmp(back, 1);
    free((void *)copy);
}
CASE(lost_by_long_jump) { // lost 90
    if (setjmp(back) == 0) read_number("x");
}
static void *leave(void *unused) {
    Bytes copy = malloc(91); // alloc lost_by_thread_that_exits
    copy[0] = 1;
    copy = NULL;
    if (unused == NULL) pthread_exit(NULL);
    return unused;
}
CASE(lost_by_thread_that_exits) { // lost 91
    pthread_t thread;
    pthread_create(&thread, NULL, leave, NULL);
    pthread_join(thread, NULL);
}
CASE(lost_line_by_line) { // lost 480
    char text[] = "one\ntwo\nthree\nfour\n";
    FILE *file = fmemopen(text, sizeof text - 1, "r");
    for (int i = 0; i < 4; i++) {
        char *line = NULL;
        size_t len = 0;
        if (getline(&line, &len, file) < 0) abort(); // alloc
        LAUNDER(line);
    }
    fclose(file);
}
CASE(lost_chain_of_copies) { // lost 24
    char *text = strdup("letters"); // alloc
    for (int i = 0; i < 3; i++) text = strdup(text); // alloc
    LAUNDER(text);
    free(text);
}
CASE(lost_entries_of_directory) {
    struct dirent **list;
    if (scandir("/proc/self/fdinfo", &list, NULL, NULL) < 1) abort(); // alloc
    LAUNDER(list);
    free(list);
}
CASE(lost_ring) { // lost 24, indirect 72
    struct Link *ring = NULL;
    for (int i = 0; i < 4; i++) {
        struct Link *link = calloc(1, sizeof *link); // alloc
        link->next = ring ? ring : link;
        link->before = ring ? ring->before : link;
        link->next->before = link;
        link->before->next = link;
        ring = link;
    }
    LAUNDER(ring);
}
CASE(lost_in_half_a_pointer) { // lost 92
    sum = (int)(uintptr_t)malloc(92); // alloc
}
CASE(lost_replaced_setting) { // lost 12
    kept = strdup("first name."); // alloc
    kept = strdup("second name");
}
CASE(lost_pattern_results) {
    glob_t *found = malloc(sizeof *found);
    if (glob("/usr/*", 0, NULL, found)) abort(); // alloc
    LAUNDER(found);
    free(found);
}
/* The library beside the program. */
static void *open_plugin(void) {
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    if (len < 0) abort();
    path[len] = 0;
    strcpy(strrchr(path, '/') + 1, "libplugin.so");
    void *plugin = dlopen(path, RTLD_NOW);
    if (!plugin) {
        puts(dlerror());
        _exit(99);
    }
    return plugin;
}
CASE(lost_in_library_that_is_gone) { // lost 77
    void *plugin = open_plugin();
    ((void (*)(void))dlsym(plugin, "leak"))(); // alloc
    dlclose(plugin);
}
CASE(lost_static_of_library_that_is_gone) { // lost 78
    void *plugin = open_plugin();
    ((void (*)(void))dlsym(plugin, "keep"))(); // alloc
    dlclose(plugin);
}
CASE(freed_twice_by_library_that_is_gone) { // block 79, offset 0
    void *plugin = open_plugin(), *p = malloc(79); // alloc
    ((void (*)(void *))dlsym(plugin, "take"))(p); // free
    dlclose(plugin);
    free(p); // at
}
