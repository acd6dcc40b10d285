/* What a forked child may say of its heap: its own leaks and damage, nothing of its parent's. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COUNT = 3000 };
static void **kept; /* the parent's blocks, which lead to nothing */

static __attribute__((noinline)) void lose(size_t size) {
    char *block = malloc(size);
    memset(block, 1, size);
    __asm__ volatile("" : : "r"(block) : "memory");
}

/* What a call has left on the stack and in registers. */
static __attribute__((noinline)) void wipe(void) {
    volatile char room[4096];
    memset((char *)room, 0, sizeof room);
}

static void child(const char *what) {
    if (!strcmp(what, "nothing")) {
    } else if (!strcmp(what, "loses")) {
        lose(777);
    } else if (!strcmp(what, "keeps") || !strcmp(what, "grandchild")) {
        for (int i = 0; i < 20; i++) *(void **)kept[i * 100] = malloc(555);
        wipe();
        /* The grandchild has all pages in common with the child, while that ends. */
        if (*what == 'g' && fork() == 0) {
            sleep(2);
            _exit(0);
        }
    } else if (!strcmp(what, "frees")) {
        free(kept[7]);
        kept[7] = NULL;
    } else if (!strcmp(what, "damages")) {
        ((char *)kept[5])[40] = 1;
    } else if (!strcmp(what, "chain")) {
        void **first = malloc(555), **second = malloc(555);
        *second = malloc(555);
        *first = second;
        *(void **)kept[2999] = first;
    }
    wipe();
    exit(0);
}

int main(int argc, char **argv) {
    if (argc < 2) return 9;
    kept = malloc(COUNT * sizeof *kept);
    for (int i = 0; i < COUNT; i++) kept[i] = calloc(1, 40);
    if (!strcmp(argv[1], "parents")) {
        lose(333);
        ((char *)kept[9])[40] = 1;
    }
    wipe();
    fflush(stdout);
    int status;
    if (fork() == 0) child(!strcmp(argv[1], "parents") ? "nothing" : argv[1]);
    wait(&status);
    printf("child %d\n", WEXITSTATUS(status));
    return 0;
}
