/* Keeps COUNT blocks, each with bytes that its number tells, while the system grants less and less; at
   the end all that were handed out are still as they were written. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static unsigned char byte_of(size_t index, size_t at) { return (unsigned char)(index * 31 + at * 7 + 1); }

int main(int argc, char **argv) {
    size_t count = argc < 2 ? 1000 : strtoul(argv[1], NULL, 10);
    size_t size = argc < 3 ? 40 : strtoul(argv[2], NULL, 10);
    size_t late = argc < 4 ? 0 : strtoul(argv[3], NULL, 10); /* MiB: a limit set on the way */
    unsigned char **all = calloc(count, sizeof *all);
    if (!all) return 9;
    size_t refused = 0;
    for (size_t i = 0; i < count; i++) {
        if (late && i == count / 2) {
            struct rlimit limit = {late << 20, RLIM_INFINITY};
            if (setrlimit(RLIMIT_AS, &limit)) return 8;
        }
        errno = 0;
        all[i] = malloc(size);
        if (!all[i] && errno != ENOMEM) return 2;
        refused += !all[i];
        for (size_t at = 0; all[i] && at < size; at += 1 + at / 64) all[i][at] = byte_of(i, at);
        /* Some are freed, and some made longer, on the way. */
        if (i % 5 == 4) {
            free(all[i - 2]);
            all[i - 2] = NULL;
        }
        if (i % 7 == 6 && all[i - 1]) {
            unsigned char *longer = realloc(all[i - 1], size + size / 4);
            if (longer) all[i - 1] = longer;
        }
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; all[i] && at < size; at += 1 + at / 64)
            if (all[i][at] != byte_of(i, at)) return 3;
        free(all[i]);
    }
    free(all);
    printf("kept %s\n", refused ? "some" : "all");
    return 0;
}
