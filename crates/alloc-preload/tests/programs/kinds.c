/* One fault for each name; `at NAME` marks the lines that its report must name. */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define HIDDEN __attribute__((noinline)) static
typedef char *volatile Block;

static size_t size = 100;
static char global[64];
static Block kept;

HIDDEN char *get(size_t bytes) { return malloc(bytes); }
HIDDEN void churn(void) { for (int i = 0; i < 20000; i++) free(get(size)); }
HIDDEN void wipe(void) { volatile char stack[4096]; memset((char *)stack, 0, sizeof stack); }
static void run_thread(void *(*work)(void *), void *arg) {
    pthread_t thread;
    pthread_create(&thread, NULL, work, arg);
    pthread_join(thread, NULL);
}
static void *free_it(void *block) { free(block); return NULL; }
static void *write_it(void *block) { ((char *)block)[1] = 1; return NULL; }

HIDDEN void leak_malloc(void) { Block p = malloc(size); p[0] = 1; } // at leak_malloc
HIDDEN void absurd(void) { kept = malloc(-size); } // at absurd
HIDDEN void absurd_product(void) { kept = calloc(1ul << 40, size << 30); } // at absurd_product
HIDDEN void leak_zero(void) { Block p = malloc(0); (void)p; } // at leak_zero
HIDDEN void leak_large(void) { Block p = malloc(3 << 20); p[0] = 1; } // at leak_large
HIDDEN void leak_aligned(void) { Block p = aligned_alloc(4096, 8192); p[0] = 1; } // at leak_aligned
HIDDEN void leak_strdup(void) { Block p = strdup("text"); p[0] = 1; } // at leak_strdup
HIDDEN void leak_overwritten(void) {
    kept = malloc(20); // at leak_overwritten
    kept = malloc(21);
    free(kept);
}
HIDDEN void leak_in_child(void) {
    if (fork() == 0) {
        Block p = malloc(55); // at leak_in_child
        p = NULL;
        wipe();
        exit(0);
    }
    wait(NULL);
}
HIDDEN void twice(void) {
    Block p = get(size);
    free(p); // at twice
    free(p); // at twice
}
HIDDEN void twice_late(void) {
    Block p = get(size);
    free(p); // at twice_late
    churn();
    free(p); // at twice_late
}
HIDDEN void twice_by_threads(void) {
    Block p = get(size);
    run_thread(free_it, p);
    free(p); // at twice_by_threads
}
HIDDEN void twice_after_realloc(void) {
    Block p = get(size), q = realloc(p, 100 * size); // at twice_after_realloc
    free(p); // at twice_after_realloc
    free(q);
}
HIDDEN void twice_in_child(void) {
    Block p = get(size);
    free(p); // at twice_in_child
    if (fork() == 0) {
        free(p); // at twice_in_child
        _exit(0);
    }
    wait(NULL);
}
HIDDEN void realloc_inside(void) {
    Block p = get(size), q = p + 16;
    kept = realloc(q, 20); // at realloc_inside
    free(p);
}
HIDDEN void realloc_static(void) {
    Block p = global;
    kept = realloc(p, 20); // at realloc_static
}
HIDDEN void realloc_twice(void) {
    Block p = get(size), q = realloc(p, 100 * size), r; // at realloc_twice
    r = realloc(p, 200 * size); // at realloc_twice
    kept = r ? r : q;
}
HIDDEN void realloc_then_write(void) {
    Block p = get(size); // at realloc_then_write
    Block q = realloc(p, 100 * size); // at realloc_then_write
    p[1] = 1;
    free(q);
}
HIDDEN void realloc_to_zero(void) {
    Block p = get(size), q = realloc(p, 0); // at realloc_to_zero
    free(p); // at realloc_to_zero
    free(q);
}
void free_sized(void *, size_t) __attribute__((weak));
void free_aligned_sized(void *, size_t, size_t) __attribute__((weak));
HIDDEN void wrong_size(void) {
    Block p = malloc(size); // at wrong_size
    free_sized(p, size + 1); // at wrong_size
}
HIDDEN void wrong_align(void) {
    Block p = aligned_alloc(64, 128); // at wrong_align
    free_aligned_sized(p, 32, 128); // at wrong_align
}
HIDDEN void realloc_freed(void) {
    Block p = get(size);
    free(p); // at realloc_freed
    kept = realloc(p, 20); // at realloc_freed
}
HIDDEN void free_stack(void) {
    char local[32] = "x";
    Block p = local;
    free(p); // at free_stack
}
HIDDEN void free_static(void) {
    Block p = global;
    free(p); // at free_static
}
HIDDEN void free_inside(void) {
    Block p = get(size), q = p + 16;
    free(q); // at free_inside
    free(p);
}
HIDDEN void free_inside_large(void) {
    Block p = get(5 << 20), q = p + (4 << 20);
    free(q); // at free_inside_large
    free(p);
}
HIDDEN void free_wild(void) {
    Block p = (char *)(uintptr_t)0xffff800012345678;
    free(p); // at free_wild
}
HIDDEN void past(void) {
    Block p = malloc(size); // at past
    p[size] = 0;
    free(p); // at past
}
HIDDEN void past_alive(void) {
    kept = malloc(size); // at past_alive
    kept[size] = 0;
}
HIDDEN void past_usable(void) {
    Block p = malloc(size);
    p[malloc_usable_size(p)] = 0;
    free(p); // at past_usable
}
HIDDEN void past_shrunk(void) {
    Block p = malloc(size);
    p = realloc(p, 10);
    p[10] = 0;
    free(p); // at past_shrunk
}
HIDDEN void past_then_realloc(void) {
    Block p = malloc(size);
    p[size] = 0;
    p = realloc(p, 5000); // at past_then_realloc
    free(p);
}
HIDDEN void past_zero(void) {
    Block p = malloc(0); // at past_zero
    p[0] = 1;
    free(p); // at past_zero
}
HIDDEN void past_calloc_zero(void) {
    Block p = calloc(0, 8), q = malloc(0); // at past_calloc_zero
    if (p == q || malloc_usable_size(p)) exit(1);
    p[0] = 1;
    free(p); // at past_calloc_zero
    free(q);
}
HIDDEN void before(void) {
    Block p = malloc(size), q = malloc(size); // at before
    q[-1] = 0;
    free(q); // at before
    free(p);
}
HIDDEN void before_alive(void) {
    kept = malloc(size); // at before_alive
    kept[-1] = 0;
}
HIDDEN void late(void) {
    Block p = get(size); // at late
    free(p); // at late
    p[size / 2] = 1;
}
HIDDEN void late_by_thread(void) {
    Block p = get(size); // at late_by_thread
    free(p); // at late_by_thread
    run_thread(write_it, p);
}
HIDDEN void late_given_back(void) {
    Block p = get(size); // at late_given_back
    free(p); // at late_given_back
    churn();
    p[size / 2] = 1;
}
HIDDEN void late_then_given_back(void) {
    Block p = get(size); // at late_then_given_back
    free(p); // at late_then_given_back
    p[size / 2] = 1;
    churn();
}

static const struct { const char *name; void (*run)(void); } KINDS[] = {
    {"leak_malloc", leak_malloc},                   // expect: 1 leak
    {"leak_zero", leak_zero},                       // expect: 1 leak
    {"leak_large", leak_large},                     // expect: 1 leak
    {"leak_aligned", leak_aligned},                 // expect: 1 leak
    {"leak_strdup", leak_strdup},                   // expect: 1 leak
    {"leak_overwritten", leak_overwritten},         // expect: 1 leak
    {"leak_in_child", leak_in_child},               // expect: 1 leak
    {"absurd", absurd},                             // expect: -100 as a signed number
    {"absurd_product", absurd_product},             // expect: the product of 1099511627776 and
    {"twice", twice},                               // expect: double free
    {"twice_late", twice_late},                     // expect: double free
    {"twice_by_threads", twice_by_threads},         // expect: double free
    {"twice_after_realloc", twice_after_realloc},   // expect: freed by realloc, which moved it
    {"twice_in_child", twice_in_child},             // expect: double free
    {"realloc_freed", realloc_freed},               // expect: freed
    {"realloc_inside", realloc_inside},             // expect: realloc of a pointer into a
    {"realloc_static", realloc_static},             // expect: which is no block: the variable global of kinds
    {"realloc_twice", realloc_twice},               // expect: freed by realloc, which moved it
    {"realloc_then_write", realloc_then_write},     // expect: freed by realloc, which moved it
    {"realloc_to_zero", realloc_to_zero},           // expect: double free
    {"wrong_size", wrong_size},                     // expect: wrong size: 101 bytes given for a 100-byte
    {"wrong_align", wrong_align},                   // expect: wrong alignment: 32 given
    {"free_stack", free_stack},                     // expect: on the stack of this thread
    {"free_static", free_static},                   // expect: which is no block: the variable global of kinds
    {"free_inside", free_inside},                   // expect: free of a pointer into a
    {"free_inside_large", free_inside_large},       // expect: a pointer into a
    {"free_wild", free_wild},                       // expect: no address has such upper bits
    {"past", past},                                 // expect: write past the end
    {"past_alive", past_alive},                     // expect: write past the end
    {"past_usable", past_usable},                   // expect: write past the end
    {"past_shrunk", past_shrunk},                   // expect: write past the end
    {"past_zero", past_zero},                       // expect: write past the end of a 0-byte
    {"past_calloc_zero", past_calloc_zero},         // expect: write past the end of a 0-byte
    {"past_then_realloc", past_then_realloc},       // expect: write past the end
    {"before", before},                             // expect: write before the start
    {"before_alive", before_alive},                 // expect: write before the start
    {"late", late},                                 // expect: write to a freed
    {"late_by_thread", late_by_thread},             // expect: write to a freed
    {"late_given_back", late_given_back},           // expect: write to a freed
    {"late_then_given_back", late_then_given_back}, // expect: write to a freed
};

int main(int argc, char **argv) {
    if (argc == 3) size = strtoul(argv[2], NULL, 10);
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        if (argc < 2 || strcmp(argv[1], KINDS[i].name)) continue;
        KINDS[i].run();
        wipe();
        puts("ended");
    }
    return 5;
}
