/* A child of vfork that allocates before it execs, and one of posix_spawn. */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv, char **environment) {
    int status;
    char *block = malloc(100);
    pid_t child = vfork();
    if (child == 0) {
        /* POSIX forbids it; shells do it. */
        void *other = malloc(50);
        free(other);
        execl("/bin/echo", "echo", "vfork", (char *)NULL);
        _exit(127);
    }
    waitpid(child, &status, 0);
    if (status) return 1;
    free(block);
    char *arguments[] = {"echo", "spawn", NULL};
    if (posix_spawn(&child, "/bin/echo", NULL, NULL, arguments, environment)) return 2;
    waitpid(child, &status, 0);
    if (status) return 3;
    puts("both ended");
    return 0;
}
