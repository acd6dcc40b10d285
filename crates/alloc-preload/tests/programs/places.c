/* Opens, calls and closes two libraries, one after the other, in the same place. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <sys/mman.h>

enum { HOLE_LEN = 256 << 10, HOLE_COUNT = 32 };

int main(int argc, char **argv) {
    /* Holes at higher addresses, which the libraries are too large for, take what the allocator maps
       meanwhile. */
    char *holes = mmap(NULL, 2 * HOLE_COUNT * HOLE_LEN, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    void *places[2];
    for (int i = 0; i < 2; i++) {
        void *library = dlopen(argv[i + 1], RTLD_NOW);
        if (!library) return puts(dlerror()), 1;
        for (int hole = 0; i == 0 && hole < HOLE_COUNT; hole++) {
            munmap(holes + 2 * hole * HOLE_LEN, HOLE_LEN);
        }
        void (*twice)(void) = (void (*)(void))dlsym(library, "twice");
        Dl_info info;
        dladdr((void *)twice, &info);
        places[i] = info.dli_fbase;
        twice();
        if (dlclose(library)) return 2;
    }
    puts(places[0] == places[1] ? "the same place" : "another place");
    return 0;
}
