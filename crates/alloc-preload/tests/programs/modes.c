// One access next to a block, or into a freed one; what it is, the arguments say.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile char seen;

static char *get(size_t size) {
    char *block = malloc(size); // allocated here
    memset(block, 1, size);
    return block;
}

static void touch(volatile char *at) { seen = *at; } // read here

static void poke(volatile char *at) { *at = 2; } // written here

// The kernel is to write eight bytes more than there are.
static void fill(char *block, size_t size) {
    static char bytes[4096];
    int ends[2];
    if (pipe(ends) || write(ends[1], bytes, size + 8) < 0) {
        exit(3);
    }
    ssize_t got = read(ends[0], block, size + 8); // filled here
    if (got != -1 || errno != EFAULT) {
        exit(4);
    }
    close(ends[0]);
    close(ends[1]);
}

static void put(char *block) { free(block); } // freed here

// Blocks of many sizes come, grow, shrink and go; each keeps its bytes.
static int churn(int count) {
    enum { LIVE = 500 };
    static char *blocks[LIVE];
    static size_t sizes[LIVE];
    unsigned random = 1;
    for (int round = 0; round < count; round++) {
        random = random * 1103515245u + 12345u;
        int at = (random >> 16) % LIVE;
        if (blocks[at] && blocks[at][sizes[at] - 1] != (char)at) {
            return 1;
        }
        size_t size = 1 + (random >> 8) % 3000;
        switch (random >> 29) {
        case 0:
            free(blocks[at]);
            blocks[at] = calloc(size, 1);
            if (blocks[at][0] || blocks[at][size - 1]) {
                return 2;
            }
            break;
        case 1:
            free(blocks[at]);
            if (posix_memalign((void **)&blocks[at], 256, size)) {
                return 3;
            }
            break;
        case 2:
        case 3:
            blocks[at] = realloc(blocks[at], size);
            break;
        default:
            free(blocks[at]);
            blocks[at] = malloc(size);
        }
        sizes[at] = size;
        memset(blocks[at], at, size);
    }
    for (int at = 0; at < LIVE; at++) {
        free(blocks[at]);
    }
    puts("churned");
    return 0;
}

int main(int argc, char **argv) {
    const char *what = argv[1];
    size_t size = argc > 2 ? strtoul(argv[2], 0, 10) : 0;
    if (!strcmp(what, "churn")) {
        return churn((int)size);
    }
    if (!strcmp(what, "many")) {
        char **blocks = malloc(size * sizeof *blocks);
        for (size_t index = 0; index < size; index++) {
            blocks[index] = get(24);
        }
        for (size_t index = 0; index < size; index++) {
            put(blocks[index]);
        }
        free(blocks);
        puts("freed");
        return 0;
    }
    if (!strcmp(what, "limit")) {
        for (int count = 0;; count++) {
            if (!malloc(1 << 20)) {
                printf("%s after %d\n", strerror(errno), count);
                return 0;
            }
        }
    }
    // Often enough that a block is picked.
    for (int round = 0; round < 3000; round++) {
        char *block = get(size);
        if (!strcmp(what, "read_past_end")) {
            touch(block + size);
        } else if (!strcmp(what, "read_before_start")) {
            touch(block - 1);
        } else if (!strcmp(what, "write_past_end")) {
            poke(block + size);
        } else if (!strcmp(what, "fill_past_end")) {
            fill(block, size);
        }
        put(block);
        if (!strcmp(what, "read_after_free")) {
            touch(block);
        } else if (!strcmp(what, "double_free") && round == 0) {
            put(block);
        } else if (!strcmp(what, "write_after_free") && round == 0) {
            poke(block);
        }
    }
    puts("done");
    return 0;
}
