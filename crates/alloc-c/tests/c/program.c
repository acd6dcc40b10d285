/* A C program that uses an allocator of Rust's, and lends Rust its own: a bump allocator over an array,
 * which knows no more than the two functions that a table must have, or all five. Prints "ok". */
#include "alloc.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* The Rust library. */
struct alloc_handle rust_allocator(void);
size_t rust_live_blocks(void);
bool rust_works_with(struct alloc_handle a);
bool rust_survives(struct alloc_handle a);

#define CHECK(condition)                                                                \
    do {                                                                                \
        if (!(condition)) {                                                             \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);     \
            exit(1);                                                                    \
        }                                                                               \
    } while (0)

/* The program's own allocator. */
struct bump {
    unsigned char *bytes;
    size_t len, used, live_count;
    /* The last block, which alone can change its size in place. */
    void *last;
};

static void *bump_alloc(void *context, size_t size, size_t align) {
    struct bump *bump = (struct bump *)context;
    uintptr_t start = (uintptr_t)bump->bytes + bump->used;
    size_t padding = (size_t)(-start & (align - 1));
    CHECK(size != 0 && (align & (align - 1)) == 0);
    if (bump->len - bump->used < padding || bump->len - bump->used - padding < size) {
        return NULL;
    }
    bump->last = bump->bytes + bump->used + padding;
    bump->used += padding + size;
    bump->live_count += 1;
    return bump->last;
}

static void *bump_alloc_zeroed(void *context, size_t size, size_t align) {
    void *block = bump_alloc(context, size, align);
    return block == NULL ? NULL : memset(block, 0, size);
}

static bool bump_resize(void *context, void *block, size_t size, size_t align, size_t new_size) {
    struct bump *bump = (struct bump *)context;
    (void)align;
    if (new_size <= size) {
        return true;
    }
    if (block != bump->last || bump->len - bump->used < new_size - size) {
        return false;
    }
    bump->used += new_size - size;
    return true;
}

static void *bump_remap(void *context, void *block, size_t size, size_t align, size_t new_size) {
    return bump_resize(context, block, size, align, new_size) ? block : NULL;
}

static void bump_free(void *context, void *block, size_t size, size_t align) {
    struct bump *bump = (struct bump *)context;
    CHECK(block != NULL && size != 0 && ((uintptr_t)block & (align - 1)) == 0);
    CHECK(bump->bytes <= (unsigned char *)block);
    CHECK((unsigned char *)block + size <= bump->bytes + bump->len);
    bump->live_count -= 1;
}

static const struct alloc_vtable WHOLE = {bump_alloc, bump_alloc_zeroed, bump_resize, bump_remap, bump_free};
static const struct alloc_vtable LEAST = {bump_alloc, NULL, NULL, NULL, bump_free};

static void lend(const struct alloc_vtable *vtable) {
    static unsigned char bytes[64 << 10];
    struct bump bump = {bytes, sizeof bytes, 0, 0, NULL};
    struct alloc_handle mine = {&bump, vtable};
    memset(bytes, 0xee, sizeof bytes);
    CHECK(rust_works_with(mine));
    CHECK(bump.live_count == 0 && bump.used != 0);
    bump.used = bump.len;
    CHECK(rust_survives(mine));
    CHECK(bump.live_count == 0);
}

static void borrow(struct alloc_handle rust) {
    char *names[10];
    size_t i, len = 16;
    unsigned char *block, *moved;
    for (i = 0; i < 10; i++) {
        names[i] = (char *)alloc_new(rust, 8, 1);
        CHECK(names[i] != NULL);
        snprintf(names[i], 8, "name %d", (int)i);
    }
    CHECK(rust_live_blocks() == 10);
    block = (unsigned char *)alloc_new_zeroed(rust, len, 64);
    CHECK(block != NULL && (uintptr_t)block % 64 == 0);
    for (i = 0; i < len; i++) {
        CHECK(block[i] == 0);
    }
    memset(block, 7, len);
    for (; len < 100000; len *= 2) {
        moved = (unsigned char *)alloc_realloc(rust, block, len, 64, 2 * len);
        CHECK(moved != NULL && (uintptr_t)moved % 64 == 0);
        block = moved;
        for (i = 0; i < 16; i++) {
            CHECK(block[i] == 7);
        }
    }
    CHECK(alloc_resize(rust, block, len, 64, 1) && block[0] == 7);
    alloc_free(rust, block, 1, 64);
    for (i = 0; i < 10; i++) {
        CHECK(names[i][5] == (char)('0' + i));
        alloc_free(rust, names[i], 8, 1);
    }
    CHECK(rust_live_blocks() == 0);
    /* No block is one that grows from nothing. */
    block = (unsigned char *)alloc_realloc(rust, NULL, 16, 64, 8);
    CHECK(block != NULL && (uintptr_t)block % 64 == 0 && rust_live_blocks() == 1);
    alloc_free(rust, block, 8, 64);
    CHECK(rust_live_blocks() == 0);
    /* What no block can be is refused: nothing, too much, an alignment that is none. */
    CHECK(alloc_new(rust, 0, 8) == NULL);
    CHECK(alloc_new(rust, SIZE_MAX, 8) == NULL);
    CHECK(alloc_new(rust, 8, 3) == NULL);
    CHECK(alloc_new(rust, 8, 0) == NULL);
    alloc_free(rust, NULL, 8, 8);
    CHECK(rust_live_blocks() == 0);
}

int main(void) {
    borrow(rust_allocator());
    lend(&WHOLE);
    lend(&LEAST);
    /* Rust's own, by way of C. */
    CHECK(rust_works_with(rust_allocator()));
    CHECK(rust_live_blocks() == 0);
    puts("ok");
    return 0;
}
