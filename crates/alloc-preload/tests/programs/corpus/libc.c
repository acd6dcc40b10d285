/* What libc allocates for a program, or keeps. No case has a fault. */
#define _GNU_SOURCE
#include "corpus.h"

#include <argz.h>
#include <dirent.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <ftw.h>
#include <glob.h>
#include <grp.h>
#include <iconv.h>
#include <langinfo.h>
#include <limits.h>
#include <link.h>
#include <locale.h>
#include <malloc.h>
#include <netdb.h>
#include <obstack.h>
#include <pthread.h>
#include <pwd.h>
#include <regex.h>
#include <search.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>
#include <wordexp.h>

#define obstack_chunk_alloc malloc
#define obstack_chunk_free free
#define CHECK(condition)                                            \
    do {                                                            \
        if (!(condition)) {                                         \
            printf("line %d: not %s\n", __LINE__, #condition);      \
            _exit(99);                                              \
        }                                                           \
    } while (0)

CASE(addresses) {
    struct addrinfo *list = NULL, hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    CHECK(getaddrinfo("127.0.0.1", "80", &hints, &list) == 0);
    freeaddrinfo(list);
    list = NULL;
    if (getaddrinfo("localhost", NULL, NULL, &list) == 0) freeaddrinfo(list);
    getservbyname("http", "tcp");
    getprotobyname("tcp");
}
CASE(users_and_groups) {
    struct passwd *user = getpwuid(0);
    if (user) puts(user->pw_name);
    getgrgid(0);
    for (int i = 0; i < 5 && getpwent(); i++) continue;
    endpwent();
}
CASE(locales) {
    setlocale(LC_ALL, "C.UTF-8");
    locale_t locale = newlocale(LC_ALL_MASK, "C", NULL), copy = duplocale(locale);
    uselocale(copy);
    puts(nl_langinfo(CODESET));
    uselocale(LC_GLOBAL_LOCALE);
    freelocale(copy);
    freelocale(locale);
    wchar_t wide[40];
    CHECK(mbstowcs(wide, "text", 40) == 4);
    printf("%ls %zu\n", wide, wcslen(wide));
}
CASE(conversions) {
    iconv_t convert = iconv_open("UTF-16LE", "UTF-8");
    if (convert == (iconv_t)-1) return;
    char *in = strdup("some text"), *out = malloc(40), *from = in, *to = out;
    size_t in_left = 9, out_left = 40;
    CHECK(iconv(convert, &from, &in_left, &to, &out_left) == 0 && out_left == 40 - 18);
    iconv_close(convert);
    free(in);
    free(out);
}
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
CASE(sorts_and_searches) {
    enum { COUNT = 200000 };
    int *all = malloc(COUNT * sizeof *all);
    for (int i = 0; i < COUNT; i++) all[i] = (int)((unsigned)i * 2654435761u >> 8);
    qsort(all, COUNT, sizeof *all, compare);
    for (int i = 1; i < COUNT; i++) CHECK(all[i - 1] <= all[i]);
    CHECK(bsearch(&all[77], all, COUNT, sizeof *all, compare));
    void *root = NULL;
    for (int i = 0; i < 1000; i++) tsearch(&all[i * 7], &root, compare);
    for (int i = 0; i < 500; i++) tdelete(&all[i * 7], &root, compare);
    tdestroy(root, (void (*)(void *))strlen);
    hcreate(100);
    for (int i = 0; i < 50; i++) {
        static char texts[50][10];
        sprintf(texts[i], "key %d", i);
        hsearch((ENTRY){texts[i], NULL}, ENTER);
    }
    hdestroy();
    free(all);
}
CASE(trees_with_tagged_nodes) {
    /* glibc keeps a colour in the lowest bit of its nodes' pointers. */
    static void *root;
    static int keys[500];
    for (int i = 0; i < 500; i++) {
        keys[i] = i;
        tsearch(&keys[i], &root, compare);
    }
}
CASE(large_output) {
    char *text = malloc(300000);
    CHECK(snprintf(text, 300000, "%0*d", 250000, 42) == 250000);
    CHECK(strlen(text) == 250000);
    FILE *null = fopen("/dev/null", "w");
    CHECK(fprintf(null, "%0200000d%200000.3f", 1, 1.5) == 400000);
    CHECK(fprintf(null, "%2$s %1$d %3$Lf\n", 1, "two", 3.0L) > 0);
    fclose(null);
    int number = 0;
    char *word = NULL;
    CHECK(sscanf("12 word", "%d %ms", &number, &word) == 2);
    free(word);
    free(text);
    printf("%.*f\n", 300, 1.0 / 3);
}
CASE(streams) {
    char *text = NULL, *line = NULL;
    size_t len = 0, room = 0;
    FILE *file = open_memstream(&text, &len);
    for (int i = 0; i < 5000; i++) fprintf(file, "line %d\n", i);
    fclose(file);
    file = fmemopen(text, len, "r");
    int lines = 0;
    while (getline(&line, &room, file) > 0) lines++;
    printf("%d lines\n", lines);
    fclose(file);
    free(line);
    free(text);
    FILE *temporary = tmpfile();
    CHECK(temporary);
    setvbuf(temporary, NULL, _IOFBF, 100000);
    for (int i = 0; i < 50000; i++) fputc(i, temporary);
    rewind(temporary);
    for (int i = 0; i < 50000; i++) CHECK(fgetc(temporary) == (i & 255));
    fclose(temporary);
    static char own[4096];
    FILE *left_open = fopen("/dev/null", "w");
    setvbuf(left_open, own, _IOFBF, sizeof own);
    fputs("never closed", left_open);
    kept = fopen("/dev/null", "r");
}
static ssize_t cookie_read(void *cookie, char *to, size_t len) {
    int *left = cookie;
    if (*left == 0) return 0;
    *left -= 1;
    memset(to, 'y', len < 10 ? len : 10);
    return len < 10 ? (ssize_t)len : 10;
}
static int cookie_close(void *cookie) {
    free(cookie);
    return 0;
}
CASE(streams_of_own) {
    int *cookie = malloc(sizeof *cookie);
    *cookie = 5;
    FILE *file =
        fopencookie(cookie, "r", (cookie_io_functions_t){cookie_read, NULL, NULL, cookie_close});
    char line[100];
    CHECK(fread(line, 1, 100, file) == 50);
    fclose(file);
}
CASE(patterns) {
    regex_t regex;
    regmatch_t found[3];
    CHECK(regcomp(&regex, "([a-z]+)=([0-9]*)", REG_EXTENDED) == 0);
    CHECK(regexec(&regex, "some key=123 more", 3, found, 0) == 0);
    printf("%d %d\n", (int)found[1].rm_so, (int)found[2].rm_eo);
    regfree(&regex);
    glob_t paths;
    CHECK(glob("/usr/*", 0, NULL, &paths) == 0);
    globfree(&paths);
    wordexp_t words;
    CHECK(wordexp("one $((1 + 1)) three", &words, 0) == 0);
    printf("%zu %s\n", words.we_wordc, words.we_wordv[1]);
    wordfree(&words);
}
static int visit(const char *path, const struct stat *stat, int flag, struct FTW *ftw) {
    (void)path, (void)stat, (void)flag, (void)ftw;
    sum++;
    return 0;
}
CASE(directories) {
    struct dirent **names = NULL;
    int count = scandir("/usr", &names, NULL, alphasort);
    CHECK(count > 2);
    for (int i = 0; i < count; i++) free(names[i]);
    free(names);
    CHECK(nftw("/usr/lib/x86_64-linux-gnu/audit", visit, 10, FTW_PHYS) <= 0);
    char *here = getcwd(NULL, 0), *real = realpath("/usr/../usr/bin", NULL);
    puts(real);
    free(here);
    free(real);
    DIR *dir = opendir("/");
    while (readdir(dir)) continue;
    closedir(dir);
}
CASE(the_environment) {
    for (int i = 0; i < 300; i++) {
        char name[20];
        sprintf(name, "NAME%d", i);
        setenv(name, "a value that is not short at all, and stays where it is", 1);
        if (i % 3 == 0) unsetenv(name);
        if (i % 5 == 0) setenv(name, "another", 1);
    }
    char *argz = NULL;
    size_t len = 0;
    CHECK(argz_create_sep("a:b:c", ':', &argz, &len) == 0);
    CHECK(argz_count(argz, len) == 3);
    free(argz);
    clearenv();
    putenv(strdup("OWN=string"));
    puts(getenv("OWN"));
}
CASE(times) {
    setenv("TZ", "Europe/Berlin", 1);
    tzset();
    time_t then = 1700000000;
    struct tm parts;
    char text[100];
    CHECK(strftime(text, sizeof text, "%A %d %B %Y", localtime_r(&then, &parts)));
    puts(text);
    setenv("TZ", "America/New_York", 1);
    tzset();
}
CASE(object_stacks) {
    struct obstack stack;
    obstack_init(&stack);
    for (int i = 0; i < 5000; i++) obstack_printf(&stack, "object %d, ", i);
    obstack_1grow(&stack, 0);
    char *text = obstack_finish(&stack);
    printf("%zu\n", strlen(text));
    obstack_free(&stack, NULL);
}
CASE(own_stacks_seen) {
    void *frames[20];
    int count = backtrace(frames, 20);
    char **names = backtrace_symbols(frames, count);
    CHECK(count > 1 && names);
    free(names);
}
static int count_library(struct dl_phdr_info *info, size_t size, void *count) {
    (void)info, (void)size;
    free(malloc(10));
    ++*(int *)count;
    return 0;
}
CASE(libraries_come_and_go) {
    const char *names[] = {"libm.so.6", "libresolv.so.2", "libutil.so.1", "libstdc++.so.6"};
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            void *library = dlopen(names[i], RTLD_NOW);
            int count = 0;
            dl_iterate_phdr(count_library, &count);
            CHECK(count > 1);
            if (library) dlclose(library);
        }
    }
    CHECK(dlopen("no such library", RTLD_NOW) == NULL && dlerror());
    kept = dlopen("libm.so.6", RTLD_NOW);
}
static void *fail_in_thread(void *unused) {
    char text[64];
    CHECK(strerror_r(9999, text, sizeof text));
    puts(strerror(12345));
    dlopen("no such library at all", RTLD_NOW);
    CHECK(dlerror());
    return unused;
}
CASE(errors_as_text) {
    for (int i = 0; i < 5; i++) {
        pthread_t thread;
        pthread_create(&thread, NULL, fail_in_thread, NULL);
        pthread_join(thread, NULL);
    }
}
CASE(malloc_asked_about_itself) {
    struct mallinfo2 info = mallinfo2();
    (void)info;
    malloc_trim(0);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    void *p = malloc(100);
    CHECK(malloc_usable_size(p) >= 100 && malloc_usable_size(NULL) == 0);
    free(p);
}
CASE(vectors_of_buffers) {
    int ends[2];
    char *a = malloc(5), *b = malloc(7), *c = malloc(12);
    CHECK(pipe(ends) == 0);
    memcpy(a, "12345", 5);
    memcpy(b, "6789abc", 7);
    struct iovec parts[] = {{a, 5}, {b, 7}, {NULL, 0}}, whole = {c, 12};
    CHECK(writev(ends[1], parts, 3) == 12);
    CHECK(readv(ends[0], &whole, 1) == 12);
    printf("%.12s\n", c);
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    CHECK(sendmsg(ends[1], &message, 0) == 12);
    CHECK(recv(ends[0], c, 12, 0) == 12);
    free(a);
    free(b);
    free(c);
}
CASE(strings_to_the_last_byte) {
    /* libc reads whole vectors, but never over the end of a page. */
    for (size_t size = 1; size < 400; size++) {
        for (size_t offset = 0; offset < 16 && offset < size; offset++) {
            char *p = malloc(size), *q = calloc(1, size);
            memset(p, 'a', size);
            p[size - 1] = 0;
            CHECK(strlen(p + offset) == size - 1 - offset);
            CHECK(strchr(p + offset, 'b') == NULL && strrchr(p, 'b') == NULL);
            CHECK(memchr(p + offset, 'b', size - offset) == NULL);
            CHECK(memrchr(p, 'b', size) == NULL && rawmemchr(p, 0) == p + size - 1);
            CHECK(strcmp(p + offset, strcpy(q, p + offset)) == 0);
            CHECK(strncmp(p, q, size) == 0 || offset != 0);
            CHECK(stpcpy(q, p) == q + size - 1 && memcmp(p, q, size) == 0);
            CHECK(strspn(p, "a") == size - 1 && strcspn(p, "xyz") == size - 1);
            CHECK(strstr(p, "ab") == NULL && memmem(p, size, "ab", 2) == NULL);
            CHECK(strcasecmp(p, q) == 0 && strncpy(q, p, size) == q);
            char *copy = strndup(p, size + 50);
            CHECK(strlen(copy) == size - 1);
            free(copy);
            free(p);
            free(q);
        }
    }
    for (size_t len = 1; len < 200; len++) {
        wchar_t *wide = malloc(len * sizeof *wide);
        wmemset(wide, L'w', len - 1);
        wide[len - 1] = 0;
        CHECK(wcslen(wide) == len - 1 && wcschr(wide, L'x') == NULL);
        CHECK(wmemchr(wide, L'x', len) == NULL);
        free(wide);
    }
}
CASE(reads_its_own_maps) {
    const char *names[] = {"/proc/self/maps", "/proc/self/smaps", "/proc/self/status"};
    for (int i = 0; i < 3; i++) {
        FILE *file = fopen(names[i], "r");
        char *line = NULL;
        size_t len = 0, lines = 0;
        while (getline(&line, &len, file) >= 0) lines++;
        CHECK(lines > 10);
        free(line);
        fclose(file);
    }
}
