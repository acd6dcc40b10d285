/* Asks the checking heap what it can be asked; says what it got. */
#include "../../include/alloc_preload.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *kept;

static __attribute__((noinline)) void lose(void)
{
    char *volatile lost = malloc(123); /* lost */
    memset(lost, 1, 123);
    lost = 0;
}

static __attribute__((noinline)) void wipe(void)
{
    volatile char room[16384];
    size_t index;
    for (index = 0; index < sizeof room; index++)
        room[index] = 0;
}

static __attribute__((noinline)) void grow(void)
{
    kept = malloc(77777); /* grows */
}

int main(int argc, char **argv)
{
    struct alloc_gpa_stats before, after;
    long first;
    if (argc > 1 && !strcmp(argv[1], "flush")) {
        volatile char *block = malloc(10); /* damaged */
        block[10] = 1;
        alloc_gpa_flush();
        _exit(0);
    }
    printf("active %d\n", alloc_gpa_is_active());
    printf("stats %d\n", alloc_gpa_get_stats(&before));
    printf("lost %ld\n", alloc_gpa_detect_leaks());
    first = alloc_gpa_snapshot();
    printf("snapshot %ld\n", first);
    lose();
    wipe();
    grow();
    printf("lost %ld\n", alloc_gpa_detect_leaks());
    printf("growth %d %d\n", alloc_gpa_print_growth(first), alloc_gpa_print_growth(first + 1));
    alloc_gpa_get_stats(&after);
    printf("more %d\n", (int)(after.allocations - before.allocations > 1 || !alloc_gpa_is_active()));
    free(kept);
    return 0;
}
