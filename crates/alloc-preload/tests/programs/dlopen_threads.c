/* Four threads open a library, use its thread-locals and close it, while two others allocate. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static const char *path;
static atomic_int done;

static void *open_and_close(void *unused) {
    for (int i = 0; i < 100; i++) {
        void *plugin = dlopen(path, RTLD_NOW);
        if (!plugin) exit(1);
        int (*touch)(int) = (int (*)(int))dlsym(plugin, "touch");
        if (touch(1) != 1000) exit(2);
        dlclose(plugin);
    }
    return unused;
}

static void *allocate(void *unused) {
    while (!done) {
        void *blocks[50];
        for (int i = 0; i < 50; i++) blocks[i] = malloc(10 + 30 * i);
        for (int i = 0; i < 50; i++) free(blocks[i]);
    }
    return unused;
}

int main(int argc, char **argv) {
    path = argv[1];
    pthread_t openers[4], allocators[2];
    for (int i = 0; i < 2; i++) pthread_create(&allocators[i], NULL, allocate, NULL);
    for (int i = 0; i < 4; i++) pthread_create(&openers[i], NULL, open_and_close, NULL);
    for (int i = 0; i < 4; i++) pthread_join(openers[i], NULL);
    done = 1;
    for (int i = 0; i < 2; i++) pthread_join(allocators[i], NULL);
    puts("opened and closed");
    return 0;
}
