/* A child whose root is not its parent's: the record folder is not there. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void (*volatile release)(void *) = free;

static void twice(void) {
    char *block = malloc(100);
    release(block);
    release(block);
}

int main(int argc, char **argv) {
    char empty[] = "/tmp/unreachable-" "XX" "XX" "XX"; // tidy takes three in a row for a note
    if (argc < 2 || !mkdtemp(empty)) return 9;
    int status;
    int is_forked = !strcmp(argv[1], "fork");
    /* A forked child makes its file at once: the root is another one before. */
    int failed = is_forked ? chroot(empty) : 0;
    pid_t child = is_forked ? fork() : vfork();
    if (child == 0) {
        if (failed || (!is_forked && chroot(empty))) _exit(77);
        twice();
        _exit(0);
    }
    waitpid(child, &status, 0);
    rmdir(empty);
    if (WEXITSTATUS(status) == 77) {
        puts("no rights");
        return 0;
    }
    twice();
    puts("done");
    return 0;
}
