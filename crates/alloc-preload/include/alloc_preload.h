/*
 * Questions that a C or C++ program can ask the checking heap while it runs.
 *
 * Nothing needs to be linked: each function looks for the preloaded library when it is called, and does
 * nothing without it. So a program built with these calls runs the same where nobody checks it.
 * (With a C library older than glibc 2.34, link with -ldl.)
 *
 *     cargo xtask check -- ./server          or          LD_PRELOAD=.../liballoc_preload.so ./server
 *
 * What is printed goes to standard error. Under alloc-check it goes into the report instead.
 * The functions may be called by any thread, but by no signal handler.
 */
#ifndef ALLOC_PRELOAD_H
#define ALLOC_PRELOAD_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers of the heap. New ones are added at the end. */
struct alloc_gpa_stats {
    uint64_t allocations; /* so far, of this process                     */
    uint64_t frees;       /* so far                                      */
    uint64_t live_bytes;  /* of blocks that are not freed, as requested  */
    uint64_t peak_bytes;  /* the most that live_bytes has been           */
    uint64_t total_bytes; /* ever allocated; blocks that grew included   */
};

/* For the functions below. */
static inline void *alloc_gpa_function(const char *name)
{
    /* RTLD_DEFAULT, which dlfcn.h shows only to programs that ask for it. */
    return dlsym((void *)0, name);
}

/* Whether a checking heap serves this process. */
static inline int alloc_gpa_is_active(void)
{
    int (*call)(void);
    *(void **)&call = alloc_gpa_function("alloc_gpa_is_active");
    return call ? call() : 0;
}

/*
 * Looks for leaks now, tells of them, and goes on. Returns the number of lost blocks: those that nothing
 * leads to any more. -1: it could not look, and says why; or no checking heap is there.
 */
static inline long alloc_gpa_detect_leaks(void)
{
    long (*call)(void);
    *(void **)&call = alloc_gpa_function("alloc_gpa_detect_leaks");
    return call ? call() : -1;
}

/*
 * Remembers what is live, by the place that allocated it. Returns a number from 1 for
 * alloc_gpa_print_growth; it is forgotten after eight more. 0: it could not.
 */
static inline long alloc_gpa_snapshot(void)
{
    long (*call)(void);
    *(void **)&call = alloc_gpa_function("alloc_gpa_snapshot");
    return call ? call() : 0;
}

/* Prints what grew since a snapshot, to standard error in any case. Returns 0, or -1: no such one. */
static inline int alloc_gpa_print_growth(long snapshot)
{
    int (*call)(long);
    *(void **)&call = alloc_gpa_function("alloc_gpa_print_growth");
    return call ? call(snapshot) : -1;
}

/*
 * Tells now of damage that would only be found at the exit: for a process that is going to be killed, or
 * to call _exit.
 */
static inline void alloc_gpa_flush(void)
{
    void (*call)(void);
    *(void **)&call = alloc_gpa_function("alloc_gpa_flush");
    if (call)
        call();
}

/* Fills in the heap's numbers. Returns 0, or -1: no checking heap is there, and all are 0. */
static inline int alloc_gpa_get_stats(struct alloc_gpa_stats *stats)
{
    static const struct alloc_gpa_stats zero = {0, 0, 0, 0, 0};
    int (*call)(struct alloc_gpa_stats *, size_t);
    *stats = zero;
    *(void **)&call = alloc_gpa_function("alloc_gpa_get_stats");
    return call ? call(stats, sizeof *stats) : -1;
}

#ifdef __cplusplus
}
#endif

#endif
