/* Whose handler runs last of all at the exit, and lets other threads run. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>

static void last(int status, void *argument) {
    (void)status, (void)argument;
    usleep(300000);
    if (write(1, "last\n", 5) != 5) _exit(9);
}

static __attribute__((constructor)) void start(void) { on_exit(last, NULL); }
