/* Allocates before main and after it, opens a library, and uses its thread-locals in four threads. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static void *early;
static int (*touch)(int);

__attribute__((constructor)) static void before(void) {
    early = calloc(100, 100);
    puts("before main");
}

__attribute__((destructor)) static void after(void) {
    free(early);
    puts("after main");
}

static void *in_thread(void *result) {
    *(int *)result = touch(1);
    return NULL;
}

int main(int argc, char **argv) {
    void *plugin = dlopen(argv[1], RTLD_NOW);
    if (!plugin) return puts(dlerror()), 1;
    touch = (int (*)(int))dlsym(plugin, "touch");
    pthread_t threads[4];
    int results[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, in_thread, &results[i]);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    printf("%d %d %d %d\n", results[0], results[1], results[2], results[3]);
    /* What is not there is an error with memory of its own. */
    if (dlsym(plugin, "no such name") || !dlerror()) return 2;
    dlclose(plugin);
    return 0;
}
