/* A finding while standard error takes nothing: what it makes shall not reach the program. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void (*volatile release)(void *) = free;

static int is_pending(void) {
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGPIPE);
}

int main(int argc, char **argv) {
    int ends[2];
    if (argc < 2 || pipe(ends)) return 9;
    char file[] = "/tmp/no-reader-" "XX" "XX" "XX"; // tidy takes three in a row for a note
    int is_pipe = strcmp(argv[1], "limit") != 0;
    if (is_pipe) {
        dup2(ends[1], 2);
    } else {
        struct rlimit limit = {8, 8};
        dup2(mkstemp(file), 2);
        unlink(file);
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    if (!strcmp(argv[1], "full")) {
        fcntl(2, F_SETFL, O_NONBLOCK);
        char junk[4096] = "";
        while (write(2, junk, sizeof junk) > 0) {}
    } else {
        close(ends[0]);
    }
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGPIPE);
    int is_blocked = !strcmp(argv[1], "blocked") || !strcmp(argv[1], "pending");
    if (is_blocked) sigprocmask(SIG_BLOCK, &one, NULL);
    int expected = !strcmp(argv[1], "pending");
    if (expected) raise(SIGPIPE);
    char *block = malloc(100);
    release(block);
    errno = 5;
    release(block);
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    if (errno != 5 || is_pending() != expected || sigismember(&now, SIGPIPE) != is_blocked) return 3;
    /* Of the blocked one nothing is left that would come at the end. */
    if (is_blocked && !expected) sigprocmask(SIG_UNBLOCK, &one, NULL);
    puts("alive");
    return 0;
}
