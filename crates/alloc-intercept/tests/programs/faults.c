/* One fault for each name, made by a function of libc; `at NAME` marks the lines that its report must
   name. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wchar.h>

#define HIDDEN __attribute__((noinline)) static
typedef char *volatile Block;
typedef wchar_t *volatile Wide;

/* `p` has 10 bytes and no end, `q` has a text of 19 characters and its end. */
static Block p, q;
static volatile size_t used;

void *__memcpy_chk(void *, const void *, size_t, size_t);
char *__strcpy_chk(char *, const char *, size_t);
int __sprintf_chk(char *, int, size_t, const char *, ...);
int __snprintf_chk(char *, size_t, int, size_t, const char *, ...);

HIDDEN void memcpy_past(void) { memcpy(p, q, 11); } // at memcpy_past
HIDDEN void memcpy_from(void) { memcpy(q, p, 11); } // at memcpy_from
HIDDEN void memcpy_chk_past(void) { __memcpy_chk(p, q, 11, -1ul); } // at memcpy_chk_past
HIDDEN void memcpy_chk_fails(void) { __memcpy_chk(p, q, 11, 10); } // at memcpy_chk_fails
HIDDEN void memmove_past(void) { memmove(p + 1, p, 10); } // at memmove_past
HIDDEN void memset_past(void) { memset(p, 1, 11); } // at memset_past
HIDDEN void memset_before(void) { memset(q - 1, 1, 3); } // at memset_before
HIDDEN void memcmp_past(void) { used = memcmp(p, q, 11); } // at memcmp_past
HIDDEN void memchr_past(void) { used = memchr(p, 1, 20) != NULL; } // at memchr_past
HIDDEN void strlen_past(void) { used = strlen(p); } // at strlen_past
HIDDEN void strnlen_past(void) { used = strnlen(p, 11); } // at strnlen_past
HIDDEN void strcpy_past(void) { strcpy(p, q); } // at strcpy_past
HIDDEN void strcpy_chk_past(void) { __strcpy_chk(p, q, -1ul); } // at strcpy_chk_past
HIDDEN void stpcpy_past(void) { stpcpy(p, q); } // at stpcpy_past
HIDDEN void strncpy_past(void) { strncpy(p, "short", 11); } // at strncpy_past
HIDDEN void strcat_past(void) { strcat(q, "x"); } // at strcat_past
HIDDEN void strncat_past(void) { strncat(q, "xyz", 1); } // at strncat_past
HIDDEN void strcmp_past(void) {
    Block other = strdup("ppppppppppp");
    used = strcmp(p, other); // at strcmp_past
    free(other);
}
HIDDEN void strchr_past(void) { used = strchr(p, 'z') != NULL; } // at strchr_past
HIDDEN void strrchr_past(void) { used = strrchr(p, 'z') != NULL; } // at strrchr_past
HIDDEN void strstr_past(void) { used = strstr(p, "zz") != NULL; } // at strstr_past
HIDDEN void strcasecmp_past(void) { used = strcasecmp(p, "PPP"); } // at strcasecmp_past
HIDDEN void strdup_past(void) { free(strdup(p)); } // at strdup_past
HIDDEN void wcslen_past(void) {
    Wide wide = malloc(12); // at wcslen_past
    wmemset(wide, L'w', 3);
    used = wcslen(wide); // at wcslen_past
    free(wide);
}
HIDDEN void wmemcpy_past(void) {
    Wide wide = malloc(12); // at wmemcpy_past
    wmemcpy(wide, L"abc", 4); // at wmemcpy_past
    free(wide);
}
HIDDEN void wcsncpy_past(void) {
    Wide wide = malloc(12); // at wcsncpy_past
    wcsncpy(wide, L"a", 4); // at wcsncpy_past
    free(wide);
}
HIDDEN void wcsncat_past(void) {
    Wide wide = malloc(12); // at wcsncat_past
    wcsncat(wcscpy(wide, L"ab"), L"cd", 1); // at wcsncat_past
    free(wide);
}
HIDDEN void memccpy_past(void) { memccpy(p, q, 'h', 20); } // at memccpy_past
HIDDEN void memmem_past(void) { used = memmem(p, 11, q, 1) != NULL; } // at memmem_past
HIDDEN void strtok_past(void) { used = strtok(p, " ") != NULL; } // at strtok_past
HIDDEN void explicit_bzero_past(void) { explicit_bzero(p, 11); } // at explicit_bzero_past
HIDDEN void sprintf_past(void) { sprintf(p, "%d and %.1f", 1234, 5.6); } // at sprintf_past
HIDDEN void snprintf_past(void) { snprintf(p, 11, "%s", q); } // at snprintf_past
HIDDEN void sprintf_chk_past(void) { __sprintf_chk(p, 1, -1ul, "%s %d", "1234567", 89); } // at sprintf_chk_past
HIDDEN void snprintf_chk_past(void) { __snprintf_chk(p, 12, 1, -1ul, "%s", q); } // at snprintf_chk_past
HIDDEN void print_list(const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(p, 20, format, list); // at vsnprintf_past
    va_end(list);
}
HIDDEN void vsnprintf_past(void) { print_list("%d%d%d%d%d%d%d", 1, 22, 333, 4, 55, 6, 7); } // at vsnprintf_past
HIDDEN void sprintf_freed(void) {
    Block late = strdup("late"); // at sprintf_freed
    free(late); // at sprintf_freed
    sprintf(late, "%d", 4); // at sprintf_freed
}
HIDDEN FILE *lines(void) {
    FILE *file = tmpfile();
    fputs("a line of a file\n", file);
    rewind(file);
    return file;
}
HIDDEN void fgets_past(void) {
    FILE *file = lines();
    fgets(p, 11, file); // at fgets_past
    fclose(file);
}
HIDDEN void fputs_past(void) {
    FILE *file = tmpfile();
    fputs(p, file); // at fputs_past
    fclose(file);
}
HIDDEN void strlen_freed(void) {
    Block late = strdup("late"); // at strlen_freed
    free(late); // at strlen_freed
    used = strnlen(late, 2); // at strlen_freed
}
HIDDEN void memcpy_freed(void) {
    Block late = strdup("late"); // at memcpy_freed
    free(late); // at memcpy_freed
    memcpy(late, "four", 4); // at memcpy_freed
}
/* Legal, if odd; the leak is there so that there is something to tell. */
HIDDEN void legal(void) {
    memcpy(p, q, 10), memcpy(p + 10, q, 0), memset(p + 10, 0, 0), memcmp(p + 10, q, 0);
    used = strnlen(p, 10) + strncmp(p, q, 10) + (memchr(p, p[3], 100) != NULL) + (strchr(p, p[2]) != NULL);
    strncpy(p, q, 10);
    q[9] = 0;
    strcpy(p, q);
    strcat(q, "tail of it");
    memmove(q, q + 1, 19);
    snprintf(p, 10, "%.3f %d %s", 1.5, 77, "cut off"), snprintf(p + 10, 0, "%d", 7), snprintf(NULL, 0, "%s", q);
    sprintf(q, "%d %.2f %s %c%c%c%c", 1, 2.5, "three", 'f', 'o', 'u', 'r');
    used = strcmp(q, "1 2.50 three four") || strcmp(p, "1.500 77 ") ? abort(), 0 : 0;
    memccpy(p, "abc", 'c', 100), strcpy(q, "nineteen characters");
    used = strlen("static") + strlen(getenv("PATH") ? getenv("PATH") : "") + wcslen(L"wide");
    p = realloc(p, 0) ? p : malloc(10);
    Block lost = malloc(50); // at legal
    lost = NULL;
    (void)lost;
}

static const struct { const char *name; void (*run)(void); } KINDS[] = {
    {"memcpy_past", memcpy_past},         // expect: write past the end of a 10-byte block (offset 10): in memcpy: 11 bytes from offset 0
    {"memcpy_from", memcpy_from},         // expect: read past the end of a 10-byte block (offset 10): in memcpy
    {"memcpy_chk_past", memcpy_chk_past}, // expect: in memcpy
    {"memmove_past", memmove_past},       // expect: in memmove: 10 bytes from offset 1
    {"memset_past", memset_past},         // expect: write past the end of a 10-byte block (offset 10): in memset
    {"memset_before", memset_before},     // expect: write before the start of a 20-byte block (offset -1): in memset
    {"memcmp_past", memcmp_past},         // expect: in memcmp
    {"memchr_past", memchr_past},         // expect: in memchr
    {"strlen_past", strlen_past},         // expect: read past the end of a 10-byte block (offset 10): in strlen
    {"strnlen_past", strnlen_past},       // expect: in strnlen
    {"strcpy_past", strcpy_past},         // expect: write past the end of a 10-byte block (offset 10): in strcpy
    {"strcpy_chk_past", strcpy_chk_past}, // expect: in strcpy
    {"stpcpy_past", stpcpy_past},         // expect: in stpcpy
    {"strncpy_past", strncpy_past},       // expect: in strncpy
    {"strcat_past", strcat_past},         // expect: in strcat: 2 bytes from offset 19
    {"strncat_past", strncat_past},       // expect: in strncat: 2 bytes from offset 19
    {"strcmp_past", strcmp_past},         // expect: in strcmp
    {"strchr_past", strchr_past},         // expect: in strchr
    {"strrchr_past", strrchr_past},       // expect: in strrchr
    {"strstr_past", strstr_past},         // expect: in strstr
    {"strcasecmp_past", strcasecmp_past}, // expect: in strcasecmp
    {"strdup_past", strdup_past},         // expect: in strdup
    {"wcslen_past", wcslen_past},         // expect: in wcslen
    {"wmemcpy_past", wmemcpy_past},       // expect: in wmemcpy
    {"wcsncpy_past", wcsncpy_past},       // expect: in wcsncpy: 16 bytes from offset 0
    {"wcsncat_past", wcsncat_past},       // expect: in wcsncat: 8 bytes from offset 8
    {"memccpy_past", memccpy_past},       // expect: write past the end of a 10-byte block (offset 10): in memccpy: 11 bytes from offset 0
    {"memmem_past", memmem_past},         // expect: in memmem
    {"strtok_past", strtok_past},         // expect: in strtok
    {"explicit_bzero_past", explicit_bzero_past}, // expect: in explicit_bzero
    {"sprintf_past", sprintf_past},       // expect: write past the end of a 10-byte block (offset 10): in sprintf: 13 bytes from offset 0
    {"snprintf_past", snprintf_past},     // expect: in snprintf: 11 bytes from offset 0
    {"sprintf_chk_past", sprintf_chk_past}, // expect: in sprintf: 11 bytes from offset 0
    {"snprintf_chk_past", snprintf_chk_past}, // expect: in snprintf: 12 bytes from offset 0
    {"vsnprintf_past", vsnprintf_past},   // expect: in vsnprintf: 12 bytes from offset 0
    {"sprintf_freed", sprintf_freed},     // expect: write to a freed 5-byte block (offset 0): in sprintf
    {"fgets_past", fgets_past},           // expect: in fgets: 11 bytes from offset 0
    {"fputs_past", fputs_past},           // expect: in fputs
    {"strlen_freed", strlen_freed},       // expect: read of a freed 5-byte block (offset 0): in strnlen
    {"memcpy_freed", memcpy_freed},       // expect: write to a freed 5-byte block (offset 0): in memcpy
    {"memcpy_chk_fails", memcpy_chk_fails},
    {"legal", legal},                     // expect: 1 leak
};

int main(int argc, char **argv) {
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        if (argc < 2 || strcmp(argv[1], KINDS[i].name)) continue;
        p = memset(malloc(10), 'p', 10);
        q = strcpy(malloc(20), "nineteen characters");
        KINDS[i].run();
        free(p);
        free(q);
        puts("ended");
    }
    return 5;
}
