/* Each function answers and writes as libc's own does: at every alignment, with ranges that end where
   memory does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <wchar.h>

#define CHECK(condition) ((condition) ? (void)0 : differs(__LINE__))
enum { ROUNDS = 60000, LEN = 4096 };
typedef char *s;
typedef const char *cs;

static int turn;
static void differs(int line) {
    printf("line %d, round %d\n", line, turn);
    exit(1);
}
static uint64_t state = 88172645463325252u;
static unsigned pick(unsigned below) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (unsigned)(state >> 20) % below;
}
static int sign(int value) { return (value > 0) - (value < 0); }
/* `LEN` bytes with nothing behind them. */
static s edge(void) {
    s base = mmap(NULL, 2 * LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(base + LEN, LEN, PROT_NONE) ? NULL : base + LEN;
}
static int same(cs left, cs right) {
    for (int i = 0; i < LEN; i++) if (left[i] != right[i]) return 0;
    return 1;
}

#define EACH(F) \
    F(void *, memcpy, (void *, const void *, size_t)) F(void *, memmove, (void *, const void *, size_t)) \
    F(void *, mempcpy, (void *, const void *, size_t)) F(void *, memset, (void *, int, size_t)) \
    F(int, memcmp, (const void *, const void *, size_t)) F(void *, memchr, (const void *, int, size_t)) \
    F(void *, memrchr, (const void *, int, size_t)) F(void *, rawmemchr, (const void *, int)) \
    F(size_t, strlen, (cs)) F(size_t, strnlen, (cs, size_t)) F(int, strcmp, (cs, cs)) \
    F(int, strncmp, (cs, cs, size_t)) F(s, strchr, (cs, int)) F(s, strrchr, (cs, int)) \
    F(s, strchrnul, (cs, int)) F(s, strcpy, (s, cs)) F(s, stpcpy, (s, cs)) \
    F(s, strncpy, (s, cs, size_t)) F(s, stpncpy, (s, cs, size_t)) F(s, strcat, (s, cs)) \
    F(s, strncat, (s, cs, size_t)) F(int, strcasecmp, (cs, cs)) F(int, strncasecmp, (cs, cs, size_t)) \
    F(s, strstr, (cs, cs)) F(size_t, strspn, (cs, cs)) F(size_t, strcspn, (cs, cs)) \
    F(s, strpbrk, (cs, cs)) F(size_t, wcslen, (const wchar_t *)) F(size_t, wcsnlen, (const wchar_t *, size_t)) \
    F(int, wcscmp, (const wchar_t *, const wchar_t *)) F(wchar_t *, wcscpy, (wchar_t *, const wchar_t *)) \
    F(wchar_t *, wcscat, (wchar_t *, const wchar_t *)) F(wchar_t *, wmemset, (wchar_t *, wchar_t, size_t)) \
    F(wchar_t *, wmemcpy, (wchar_t *, const wchar_t *, size_t)) \
    F(void *, memccpy, (void *, const void *, int, size_t)) F(void *, memmem, (const void *, size_t, const void *, size_t)) \
    F(int, wcsncmp, (const wchar_t *, const wchar_t *, size_t)) F(wchar_t *, wcschr, (const wchar_t *, wchar_t)) \
    F(wchar_t *, wcsrchr, (const wchar_t *, wchar_t)) F(wchar_t *, wmemchr, (const wchar_t *, wchar_t, size_t)) \
    F(int, wmemcmp, (const wchar_t *, const wchar_t *, size_t)) F(wchar_t *, wcsncpy, (wchar_t *, const wchar_t *, size_t)) \
    F(wchar_t *, wcpncpy, (wchar_t *, const wchar_t *, size_t)) F(wchar_t *, wcpcpy, (wchar_t *, const wchar_t *)) \
    F(wchar_t *, wcsncat, (wchar_t *, const wchar_t *, size_t))
#define DECLARE(result, name, args) result name args; static result (*its_##name) args;
#define FIND(result, name, args) its_##name = dlsym(libc, #name); CHECK(its_##name && its_##name != name);
EACH(DECLARE)

int main(void) {
    void *libc = dlopen("libc.so.6", RTLD_NOW);
    EACH(FIND)
    s a = edge(), b = edge(), its = edge();
    CHECK(a && b && its);
    for (turn = 0; turn < ROUNDS; turn++) {
        /* Both pages get the same: short strings of few letters, the last of which ends the page. */
        if (turn % 64 == 0) {
            for (int i = 1; i <= LEN; i++) {
                unsigned letter = pick(24);
                its[-i] = a[-i] = letter < 3 ? 0 : letter < 6 ? (char)('A' + letter) : (char)('a' + letter % 3);
                b[-i] = pick(9) ? a[-i] : (char)pick(4);
            }
            its[-1] = a[-1] = b[-1] = 0;
        }
        unsigned len = pick(turn % 8 ? 40 : 700), at = 1 + pick(turn % 8 ? 90 : 1500);
        unsigned from = 1 + pick(1500), small = pick(50);
        int byte = pick(2) ? 'a' : pick(256);
        if (at < len) len = at;
        s x = a - at, y = b - at, z = b - from, w = its - at;
        CHECK(strlen(x) == its_strlen(x) && strnlen(x, len) == its_strnlen(x, len));
        CHECK(memchr(x, byte, len) == its_memchr(x, byte, len));
        CHECK(memchr(x, 0, -1ul) == its_memchr(x, 0, -1ul) && rawmemchr(x, 0) == its_rawmemchr(x, 0));
        CHECK(memrchr(x, byte, len) == its_memrchr(x, byte, len));
        CHECK(sign(memcmp(x, y, len)) == sign(its_memcmp(x, y, len)));
        CHECK(sign(strcmp(x, y)) == sign(its_strcmp(x, y)) && sign(strcmp(x, z)) == sign(its_strcmp(x, z)));
        CHECK(sign(strncmp(x, y, small)) == sign(its_strncmp(x, y, small)));
        CHECK(sign(strcasecmp(x, y)) == sign(its_strcasecmp(x, y)));
        CHECK(sign(strncasecmp(x, y, small)) == sign(its_strncasecmp(x, y, small)));
        CHECK(strchr(x, byte) == its_strchr(x, byte) && strchr(x, 0) == its_strchr(x, 0));
        CHECK(strrchr(x, byte) == its_strrchr(x, byte) && strchrnul(x, byte) == its_strchrnul(x, byte));
        CHECK(strstr(x, z) == its_strstr(x, z) && strspn(x, z) == its_strspn(x, z));
        CHECK(strcspn(x, z) == its_strcspn(x, z) && strpbrk(x, z) == its_strpbrk(x, z));

        /* What is written: once here and once by libc, from bytes that are alike. */
        size_t text = its_strlen(z), old = its_strlen(x);
        unsigned shift = pick(at - len + 1), wide = len / 4, slot = at / 4 * 4;
        wchar_t *v = (wchar_t *)(a - slot), *u = (wchar_t *)(its - slot);
        switch (turn % 14) {
        case 0: CHECK(memcpy(x, b - len, len) == x), its_memcpy(w, b - len, len); break;
        case 1: CHECK(memmove(x + shift, x, len) == x + shift), its_memmove(w + shift, w, len); break;
        case 2: CHECK(memmove(x, x + shift, len) == x), its_memmove(w, w + shift, len); break;
        case 3: CHECK(mempcpy(x, b - len, len) == x + len), its_mempcpy(w, b - len, len); break;
        case 4: CHECK(memset(x, byte, len) == x), its_memset(w, byte, len); break;
        case 5: if (text < at) CHECK(strcpy(x, z) == x), its_strcpy(w, z); break;
        case 6: if (text < at) CHECK(stpcpy(x, z) - x == its_stpcpy(w, z) - w); break;
        case 7: CHECK(strncpy(x, z, len) == x), its_strncpy(w, z, len); break;
        case 8: CHECK(stpncpy(x, z, len) - x == its_stpncpy(w, z, len) - w); break;
        case 9: if (old + text < at) CHECK(strcat(x, z) == x), its_strcat(w, z); break;
        case 10: if (old + text < at) CHECK(strncat(x, z, small) == x), its_strncat(w, z, small); break;
        case 11: if (wide * 4 <= slot) CHECK(wmemset(v, byte, wide) == v), its_wmemset(u, byte, wide); break;
        case 12:
            if (slot < 8) break;
            v[slot / 4 - 1] = u[slot / 4 - 1] = 0;
            CHECK(wcslen(v) == its_wcslen(v) && wcsnlen(v, wide) == its_wcsnlen(v, wide));
            CHECK(sign(wcscmp(v, v + 1)) == sign(its_wcscmp(v, v + 1)));
            CHECK(sign(wcsncmp(v, v + 1, small)) == sign(its_wcsncmp(v, v + 1, small)));
            wchar_t wanted = v[pick(slot / 4)];
            CHECK(wcschr(v, wanted) == its_wcschr(v, wanted) && wcsrchr(v, wanted) == its_wcsrchr(v, wanted));
            CHECK(wmemchr(v, wanted, slot / 4) == its_wmemchr(v, wanted, slot / 4));
            CHECK(wmemchr(v, -5, wide) == its_wmemchr(v, -5, wide) && wcschr(v, -5) == its_wcschr(v, -5));
            CHECK(sign(wmemcmp(v, v + 1, slot / 4 - 1)) == sign(its_wmemcmp(v, v + 1, slot / 4 - 1)));
            if (wide * 4 <= slot) CHECK(wmemcpy(v, (wchar_t *)(b - 4 * wide), wide) == v), its_wmemcpy(u, (wchar_t *)(b - 4 * wide), wide);
            break;
        case 13: {
            s mine = memccpy(x, b - len, byte, len), other = its_memccpy(w, b - len, byte, len);
            CHECK(mine ? mine - x == other - w : !other);
            CHECK(memmem(x, at, z, small < from ? small : from) == its_memmem(x, at, z, small < from ? small : from));
            break;
        }
        }
        a[-1] = its[-1] = 0;
        CHECK(same(a - LEN, its - LEN));
    }
    wchar_t text[20] = L"one", other[20] = L"one";
    CHECK(wcscat(wcscpy(text, L"three"), L" four") == text);
    CHECK(its_wcscat(its_wcscpy(other, L"three"), L" four") == other && !its_wcscmp(text, other));
    for (size_t most = 0; most < 9; most++) {
        wchar_t mine[20] = L"some text there", its_own[20] = L"some text there";
        CHECK(wcsncpy(mine, L"five!", most) == mine && its_wcsncpy(its_own, L"five!", most));
        CHECK(wcpncpy(mine + 9, L"abc", most) - mine == its_wcpncpy(its_own + 9, L"abc", most) - its_own);
        CHECK(!its_wmemcmp(mine, its_own, 20));
        mine[3] = its_own[3] = 0;
        CHECK(wcsncat(mine, L"more", most) == mine && its_wcsncat(its_own, L"more", most));
        CHECK(wcpcpy(mine + 10, L"end") - mine == its_wcpcpy(its_own + 10, L"end") - its_own);
        CHECK(!its_wmemcmp(mine, its_own, 20));
    }
    puts("as libc does");
    return 0;
}
