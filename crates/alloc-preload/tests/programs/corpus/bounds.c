/* Blocks left at either end, in the shapes that programs have. */
#define _GNU_SOURCE
#include "corpus.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <wchar.h>

#define TEXT_40 "forty characters of text, no less: 567890"

/* The string functions by pointers that no compiler knows. */
static char *(*volatile copy_text)(char *, const char *) = strcpy;
static void *(*volatile copy)(void *, const void *, size_t) = memcpy;
static void *(*volatile move)(void *, const void *, size_t) = memmove;
static size_t (*volatile length)(const char *) = strlen;

CASE(field_without_room_for_its_end) { // block 16, offset 16
    const char *line = "sixteen letters!,next", *comma = strchr(line, ',');
    size_t len = (size_t)(comma - line);
    Bytes field = malloc(len); // alloc
    copy((void *)field, line, len);
    field[len] = 0; // at
    free((void *)field); // told
}
CASE(joined_path_without_separator) { // block 24, offset 24
    const char *dir = "/usr/share/doc", *name = "README.md";
    char *path = malloc(strlen(dir) + strlen(name) + 1); // alloc
    LAUNDER(path);
    sprintf(path, "%s/%s", dir, name); // at
    free(path); // told
}
CASE(chomp_of_empty_line) { // block 1, offset -1
    char *line = strdup(""); // alloc
    LAUNDER(line);
    line[length(line) - 1] = 0; // at
    free(line); // told
}
CASE(trim_of_blank_line) { // block 4, offset -1
    char *line = strdup("   "); // alloc
    LAUNDER(line);
    char *end = line + length(line) - 1;
    while (isspace((unsigned char)*(volatile char *)end)) end--; // at
    free(line);
}
CASE(gap_closed_by_moving_too_many) { // block 64, offset 64
    char *text = malloc(64); // alloc
    LAUNDER(text);
    memset(text, 'g', 64);
    move(text + 10, text + 2, 62); // at
    free(text); // told
}
CASE(ring_that_wraps_late) { // block 128, offset 128
    long *ring = malloc(16 * sizeof *ring); // alloc
    LAUNDER(ring);
    for (int i = 0, at = 0; i < 40; i++) {
        ((volatile long *)ring)[at] = i; // at
        at = at >= 16 ? 0 : at + 1;
    }
    free(ring); // told
}
CASE(bitmap_without_last_byte) { // block 12, offset 12
    unsigned bits = 100;
    Bytes map = calloc(bits / 8, 1); // alloc
    map[97 / 8] |= 1 << 97 % 8; // at
    free((void *)map); // told
}
CASE(bit_that_the_canary_has) { // block 12, offset 12
    Bytes map = calloc(100 / 8, 1); // alloc
    map[99 / 8] |= 1 << 99 % 8; // at
    free((void *)map);
}
CASE(heap_that_looks_at_right_child) { // block 80, offset 80
    int *heap = calloc(20, sizeof *heap), count = 20; // alloc
    LAUNDER(heap);
    for (int i = 0; 2 * i + 1 < count; i++) {
        sum += ((volatile int *)heap)[2 * i + 2]; // at
    }
    free(heap);
}
CASE(decoder_of_cut_text) { // block 32, offset 32
    unsigned char *text = malloc(32); // alloc
    LAUNDER(text);
    memset(text, 'a', 31);
    text[31] = 0xf0;
    for (int at = 0; at < 32;) {
        int len = text[at] < 0x80 ? 1 : 4;
        for (int i = 0; i < len; i++) sum += ((volatile unsigned char *)text)[at + i]; // at
        at += len;
    }
    free(text);
}
CASE(encoder_that_rounds_down) { // block 13, offset 13
    const char bytes[] = "ten bytes.";
    size_t len = 10, out = 0;
    Bytes text = malloc(len * 4 / 3); // alloc
    for (size_t at = 0; at < len; at += 3) {
        for (int i = 0; i < 4; i++) text[out++] = bytes[at]; // at
    }
    free((void *)text); // told
}
struct Packet {
    unsigned short count;
    int values[];
};
CASE(struct_hack_counts_bytes) { // block 9, offset 9/16/24
    struct Packet *packet = malloc(sizeof *packet + 5); // alloc
    LAUNDER(packet);
    for (packet->count = 0; packet->count < 5; packet->count++) {
        ((volatile struct Packet *)packet)->values[packet->count] = -1; // at
    }
    free(packet); // told
}
union Value {
    int number;
    char text[24];
};
CASE(union_made_for_small_member) { // block 4, offset 4
    union Value *value = malloc(sizeof value->number); // alloc
    LAUNDER(value);
    copy_text(value->text, "a long text"); // at
    free(value); // told
}
struct Message {
    size_t len;
    char bytes[24];
};
CASE(length_that_nobody_set) { // block 32
    struct Message *message = malloc(sizeof *message); // alloc
    LAUNDER(message);
    char *out = malloc(24);
    if (message->len <= 24) copy(out, message->bytes, message->len);
    free(message);
    free(out);
}
CASE(length_from_the_wire) { // block 24, offset 24/32
    struct { unsigned char len; char bytes[99]; } packet = {.len = 40};
    char *out = malloc(24); // alloc
    LAUNDER(out);
    copy(out, packet.bytes, packet.len); // at
    free(out); // told
}
CASE(length_that_was_negative) { // block 64, offset -8
    int index = -1;
    long *counts = calloc(8, sizeof *counts); // alloc
    LAUNDER(counts);
    LAUNDER(index);
    ((volatile long *)counts)[index] = 5; // at
    free(counts); // told
}
CASE(hash_that_is_negative) { // block 512, offset -12
    int hash = -0x7000003, *table = calloc(128, sizeof *table); // alloc
    LAUNDER(table);
    LAUNDER(hash);
    ((volatile int *)table)[hash % 8] = hash; // at
    free(table); // told
}
CASE(number_that_does_not_fit) { // block 8, offset 8
    char *text = malloc(8); // alloc
    LAUNDER(text);
    sprintf(text, "%d", -123456789); // at
    free(text); // told
}
CASE(would_be_length_as_index) { // block 16, offset 20
    Bytes text = malloc(16); // alloc
    int len = snprintf((char *)text, 16, "%s", "twenty letters long.");
    text[len] = 0; // at
    free((void *)text); // told
}
HIDDEN void append(char *to, size_t room, const char *form, ...) {
    va_list args;
    va_start(args, form);
    vsnprintf(to + strlen(to), room, form, args); // at appended_with_whole_room
    va_end(args);
}
CASE(appended_with_whole_room) { // block 32, offset 32
    char *text = calloc(32, 1); // alloc
    LAUNDER(text);
    append(text, 32, "%s", "twenty letters long.");
    append(text, 32, "%s", "twenty letters long.");
    free(text); // told
}
CASE(wide_text_counted_in_bytes) { // block 40, offset 40/48
    wchar_t *text = malloc(40); // alloc
    LAUNDER(text);
    wmemset(text, L'w', 40 / 2); // at
    free(text); // told
}
HIDDEN int compare_with_next(const void *a, const void *b) {
    const volatile int *one = a, *other = b;
    return one[0] + one[1] - other[0] - other[1]; // at comparator_looks_at_next
}
CASE(comparator_looks_at_next) { // block 400, offset 400
    int *all = malloc(100 * sizeof *all); // alloc
    LAUNDER(all);
    for (int i = 0; i < 100; i++) all[i] = i * 37 % 100;
    qsort(all, 100, sizeof *all, compare_with_next); // at
    free(all);
}
HIDDEN int compare(const void *a, const void *b) {
    return *(const volatile int *)a - *(const volatile int *)b; // at sorted_one_too_many
}
CASE(sorted_one_too_many) { // block 64, offset 64
    int *all = malloc(16 * sizeof *all); // alloc
    LAUNDER(all);
    for (int i = 0; i < 16; i++) all[i] = INT32_MAX;
    qsort(all, 17, sizeof *all, compare); // at
    free(all); // told
}
CASE(copy_of_unfinished_text) { // block 32, offset 32/4096
    char *text = malloc(32); // alloc
    LAUNDER(text);
    memset(text, 'u', 32);
    char *other = strdup(text); // at
    free(other);
    free(text);
}
CASE(search_of_unfinished_text) { // block 48, offset 48/4096
    char *text = malloc(48); // alloc
    LAUNDER(text);
    memset(text, 'u', 48);
    sum = strstr(text, "needle") != NULL; // at
    free(text);
}
CASE(compared_by_longer_length) { // block 16, offset 16
    char *key = malloc(16), other[32]; // alloc
    LAUNDER(key);
    memset(key, 'k', 16);
    memset(other, 'k', 32);
    sum = memcmp(key, other, 32); // at
    free(key);
}
HIDDEN void send_bytes(const void *bytes, size_t len) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) abort();
    if (send(ends[0], bytes, len, 0) != (ssize_t)len) abort();
    dup2(ends[1], 100);
    close(ends[0]);
    close(ends[1]);
}
CASE(received_behind_what_is_there) { // block 64, offset 64
    char *buffer = malloc(64); // alloc
    LAUNDER(buffer);
    char more[50] = {0};
    send_bytes(more, 50);
    sum = (int)recv(100, buffer + 40, 64, 0); // at
    free(buffer); // told
}
CASE(gathered_too_much) { // block 20, offset 20
    char *part = malloc(20), *rest = malloc(30); // alloc
    LAUNDER(part);
    char more[50] = {0};
    send_bytes(more, 50);
    struct iovec list[2] = {{part, 30}, {rest, 20}};
    sum = (int)readv(100, list, 2); // at
    free(part); // told
    free(rest);
}
CASE(record_written_too_long) { // block 100, offset 100
    int null = open("/dev/null", O_WRONLY);
    char *record = calloc(1, 100); // alloc
    LAUNDER(record);
    sum = (int)pwrite(null, record, 128, 0); // at
    free(record);
    close(null);
}
CASE(stream_written_too_long) { // block 100, offset 100/112
    FILE *null = fopen("/dev/null", "w");
    char *record = calloc(1, 100); // alloc
    LAUNDER(record);
    sum = (int)fwrite(record, 16, 8, null); // at
    free(record);
    fclose(null);
}
CASE(folder_name_too_long) { // block 4, offset 4
    char *path = malloc(4); // alloc
    LAUNDER(path);
    if (chdir("/usr/share")) abort();
    sum = getcwd(path, 100) != NULL; // at
    free(path); // told
}
CASE(status_of_smaller_structure) { // block 136
    char *status = malloc(sizeof(struct stat) - 8); // alloc
    LAUNDER(status);
    memset(status, 0xff, sizeof(struct stat) - 8);
    sum = stat("/", (struct stat *)status); // at
    free(status); // told
}
CASE(rows_and_columns_swapped) { // block 240, offset 244
    int (*grid)[6] = calloc(10, sizeof *grid); // alloc
    LAUNDER(grid);
    for (int row = 0; row < 6; row++) {
        for (int column = 0; column < 10; column++) {
            volatile int *cell = &grid[0][0] + row * 6 + column;
            *cell = 1;
        }
    }
    ((volatile int *)grid)[10 * 6 + 1] = 1; // at
    free(grid); // told
}
CASE(shifted_list_of_pointers) { // block 40, offset 40
    const char **list = malloc(5 * sizeof *list); // alloc
    LAUNDER(list);
    for (int i = 0; i < 5; i++) list[i] = "item";
    move(list + 1, list, 5 * sizeof *list); // at
    free(list); // told
}
CASE(header_before_the_block) { // block 64, offset -16
    long *block = malloc(64); // alloc
    LAUNDER(block);
    ((volatile long *)block)[-2] = 64; // at
    free(block); // told
}
CASE(grown_by_doubling_the_count) { // block 64, offset 64
    int count = 8, *all = malloc((size_t)count * sizeof *all);
    LAUNDER(all);
    all = realloc(all, (size_t)(2 * count) * sizeof *all); // alloc
    LAUNDER(all);
    for (int i = 0; i <= 2 * count; i++) ((volatile int *)all)[i] = i; // at
    free(all); // told
}
CASE(end_written_at_exit_only) { // block 56, offset 56
    kept = malloc(56); // alloc
    copy_text(kept, "a text that is as long as the whole block, and it ends!!"); // at
}
/* Over the canary into a slot that was never handed out. */
CASE(far_into_unused_memory) { // block 100, offset 700
    Bytes p = malloc(100); // alloc
    p[700] = 1; // at
    free((void *)p); // told
}
/* Blocks of no bytes, each of which is one too short. */
CASE(empty_array_written) { // block 0, offset 0
    int *empty = calloc(0, sizeof *empty); // alloc
    LAUNDER(empty);
    *(volatile int *)empty = 1; // at
    free(empty); // told
}
CASE(empty_array_read) { // block 0, offset 0
    Bytes empty = malloc(0); // alloc
    sum = empty[0]; // at
    free((void *)empty);
}
CASE(empty_after_realloc) { // block 1, offset 1
    Bytes p = malloc(100);
    p = realloc((void *)p, 1); // alloc
    p[1] = 1; // at
    free((void *)p); // told
}
CASE(large_by_one) { // block 8388608, offset 8388608
    Bytes p = malloc(8 << 20); // alloc
    p[8 << 20] = 1; // at
    free((void *)p); // told
}
CASE(filled_by_wrong_factor) { // block 1000, offset 1000/1008
    char *p = malloc(1000); // alloc
    LAUNDER(p);
    memset(p, 0xaa, 1000 + 1000 / 8); // at
    free(p); // told
}
