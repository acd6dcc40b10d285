/* What the files of the corpus share. Each case is one fault, chosen by its name.
 *
 * Comments at the ends of lines say what a report must hold:
 *   `// block 100, offset 104`  behind `CASE`: the block's size, and the place in it, or with `/` the
 *                               places, as a trap sees only the first that lies in another page
 *   `// alloc`, `// free`       the stack of the allocation, or of the free, has this line
 *   `// at`                     the misuse itself: a read, a write, a wrong free
 *   `// told`                   where damage is noticed that no trap has told
 * Names behind the word say which cases a line belongs to, outside their functions; `NAME_#` is
 * any name that ends in a number. */
#ifndef CORPUS_H
#define CORPUS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))
#define HIDDEN NOINLINE static

#ifdef __cplusplus
extern "C" {
#endif

struct Case {
    const char *name;
    void (*run)(void);
};

extern const struct Case __start_cases[], __stop_cases[];

#ifdef __cplusplus
}
#endif

#define CASE(name)                                                                               \
    static void name(void);                                                                      \
    static const struct Case case_##name __attribute__((used, section("cases"))) = {#name, name}; \
    NOINLINE static void name(void)

/* Volatile, so that the compiler forgets nothing of what is done with it. */
typedef volatile char *volatile Bytes;

/* Hides where a pointer came from. */
#define LAUNDER(pointer) __asm__ volatile("" : "+r"(pointer))

/* A place that the search for leaks looks at. */
static void *volatile kept __attribute__((unused));
static volatile int sum __attribute__((unused));

/* Overwrites what is left of pointers below this frame. */
HIDDEN void wipe(void) {
    volatile char stack[65536];
    for (size_t i = 0; i < sizeof stack; i++) stack[i] = 0;
}

/* Many blocks of a size, freed at once: what was freed before is given back. */
__attribute__((unused)) HIDDEN void churn(size_t size) {
    for (int i = 0; i < 20000; i++) {
        void *volatile block = malloc(size);
        free(block);
    }
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (const struct Case *it = __start_cases; it < __stop_cases; it++) {
        if (argc < 2) puts(it->name);
        if (argc < 2 || strcmp(argv[1], it->name)) continue;
        it->run();
        wipe();
        puts("ended");
    }
    return 0;
}

#endif
