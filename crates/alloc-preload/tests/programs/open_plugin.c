/* Opens a library for itself alone and calls it. */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv) {
    void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!plugin) return puts(dlerror()), 1;
    int (*work)(void) = (int (*)(void))dlsym(plugin, "work");
    if (work()) return 2;
    puts("thrown and caught");
    dlclose(plugin);
    return 0;
}
