/* alloc.h: an allocator as a value, between C and Rust (the crate alloc-c).
 *
 * A `struct alloc_handle` is what code that needs memory takes as an argument: it does not know, and need
 * not know, whether the allocator behind it is written in Rust or in C. Rust makes one of any of its
 * allocators with `CHandle::new`; a C program makes one by filling in a `struct alloc_vtable`.
 *
 * Who frees a block says its size and alignment again, those of the last call that gave or changed it.
 * No size is zero: ask for nothing instead. Alignments are powers of two. No function unwinds or calls
 * longjmp past its caller. A handle is for the threads that its allocator is for.
 *
 * Needs C99, or C++. */
#ifndef ALLOC_H
#define ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What an allocator does. `alloc` and `free` are always there; the others may be NULL. */
struct alloc_vtable {
    /* Returns `size` bytes at a multiple of `align`, or NULL. */
    void *(*alloc)(void *context, size_t size, size_t align);
    /* The same, all zero. NULL: `alloc`, and a fill. */
    void *(*alloc_zeroed)(void *context, size_t size, size_t align);
    /* Changes a block's size where it lies; returns whether it did, else nothing has changed. NULL: no. */
    bool (*resize)(void *context, void *block, size_t size, size_t align, size_t new_size);
    /* Changes a block's size and may move it, at less cost than a copy; returns where it is, or NULL, and
     * then nothing has changed. The first min(size, new_size) bytes are kept. NULL: it cannot. */
    void *(*remap)(void *context, void *block, size_t size, size_t align, size_t new_size);
    /* Takes a block back. */
    void (*free)(void *context, void *block, size_t size, size_t align);
};

/* An allocator. Two words; to be copied at will. It lives as long as what is behind `context`. `vtable` is
 * never NULL, and what it points to does not change for as long: Rust holds a reference to it. */
struct alloc_handle {
    void *context;
    const struct alloc_vtable *vtable;
};

/* Returns `size` bytes at a multiple of `align`, or NULL. */
static inline void *alloc_new(struct alloc_handle a, size_t size, size_t align) {
    return (a.vtable->alloc)(a.context, size, align);
}

/* The same, all zero. */
static inline void *alloc_new_zeroed(struct alloc_handle a, size_t size, size_t align) {
    void *block;
    if (a.vtable->alloc_zeroed != NULL) {
        return (a.vtable->alloc_zeroed)(a.context, size, align);
    }
    block = (a.vtable->alloc)(a.context, size, align);
    return block == NULL ? NULL : memset(block, 0, size);
}

/* Takes a block back; nothing for NULL. */
static inline void alloc_free(struct alloc_handle a, void *block, size_t size, size_t align) {
    if (block != NULL) {
        (a.vtable->free)(a.context, block, size, align);
    }
}

/* Changes a block's size where it lies; returns whether it did. */
static inline bool alloc_resize(struct alloc_handle a, void *block, size_t size, size_t align,
                                size_t new_size) {
    return a.vtable->resize != NULL && (a.vtable->resize)(a.context, block, size, align, new_size);
}

/* Changes a block's size by any means; returns where it is, or NULL, and then nothing has changed.
 * As realloc, it takes NULL for a block that is not there yet: `size` does not count then. */
static inline void *alloc_realloc(struct alloc_handle a, void *block, size_t size, size_t align,
                                  size_t new_size) {
    void *moved = NULL;
    if (block == NULL) {
        return alloc_new(a, new_size, align);
    }
    if (a.vtable->remap != NULL) {
        moved = (a.vtable->remap)(a.context, block, size, align, new_size);
    } else if (alloc_resize(a, block, size, align, new_size)) {
        moved = block;
    }
    if (moved != NULL) {
        return moved;
    }
    moved = (a.vtable->alloc)(a.context, new_size, align);
    if (moved != NULL) {
        memcpy(moved, block, size < new_size ? size : new_size);
        (a.vtable->free)(a.context, block, size, align);
    }
    return moved;
}

#ifdef __cplusplus
}
#endif
#endif
