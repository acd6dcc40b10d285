/* Ends in the way that its argument names, with blocks that are freed as late as can be. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *for_handler, *for_destructor;

static void handler(void) {
    for_handler = realloc(for_handler, 1000);
    free(for_handler);
    for_handler = NULL;
    puts("handler");
}

static void quick_handler(void) {
    puts("quick handler");
    fflush(stdout);
}

__attribute__((destructor)) static void destructor(void) {
    puts("destructor");
    free(for_destructor);
    for_destructor = NULL;
    free(malloc(100));
}

static void *leave(void *unused) {
    exit(8);
    return unused;
}

int main(int argc, char **argv) {
    if (argc < 2) return 7;
    const char *how = argv[1];
    for_handler = malloc(10);
    for_destructor = malloc(20);
    atexit(handler);
    at_quick_exit(quick_handler);
    if (!strcmp(how, "return")) return 3;
    if (!strcmp(how, "exit")) exit(4);
    if (!strcmp(how, "_exit")) _exit(5);
    if (!strcmp(how, "quick")) quick_exit(6);
    if (!strcmp(how, "exec")) execl(argv[0], argv[0], (char *)NULL);
    if (!strcmp(how, "abort")) abort();
    if (!strcmp(how, "kill")) raise(SIGKILL);
    if (!strcmp(how, "segv")) *(volatile int *)8 = 1;
    if (!strcmp(how, "thread")) {
        pthread_t thread;
        pthread_create(&thread, NULL, leave, NULL);
        pthread_join(thread, NULL);
    }
    return 9;
}
