/* The loader's first records and names are blocks of its own early malloc. */
#define _GNU_SOURCE
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void) {
    /* The last objects in the list were loaded before malloc was known; the main program's name is
       no block. */
    struct link_map *last = _r_debug.r_map->l_next;
    while (last->l_next && last->l_next->l_next) last = last->l_next;
    char before[64];
    memcpy(before, last, sizeof before);
    struct link_map *moved = realloc(last, 4000);
    if (!moved || memcmp(before, moved, sizeof before)) return 1;
    /* The loader still uses it: freeing it changes nothing. */
    free(last);
    if (memcmp(before, last, sizeof before)) return 2;
    free(moved);
    puts("kept");
    return 0;
}
