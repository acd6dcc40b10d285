/* One fault for each name, made by a system call or by stdio; `at NAME` marks the lines that its
   report must name. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define HIDDEN __attribute__((noinline)) static
#define CHECK(condition) do { if (!(condition)) { printf("line %d\n", __LINE__); exit(1); } } while (0)
typedef char *volatile Block;

static int zeros, nulls, pair[2];
static Block p;

ssize_t __read_chk(int, void *, size_t, size_t);

HIDDEN void put(size_t len) {
    char text[200] = "text";
    CHECK(write(pair[1], text, len) == (ssize_t)len);
}

HIDDEN void read_past(void) { CHECK(read(zeros, p, 101) == 101); } // at read_past
HIDDEN void read_chk_past(void) { CHECK(__read_chk(zeros, p, 101, -1ul) == 101); } // at read_chk_past
HIDDEN void read_far(void) { CHECK(read(zeros, p + 90, 30) == 30); } // at read_far
HIDDEN void pread_past(void) { CHECK(pread(zeros, p, 108, 0) == 108); } // at pread_past
HIDDEN void readv_past(void) {
    char other[10];
    struct iovec parts[] = {{other, 10}, {p, 101}, {other, 1}};
    CHECK(readv(zeros, parts, 3) == 112); // at readv_past
}
HIDDEN void recv_past(void) {
    put(104);
    CHECK(recv(pair[0], p, 150, 0) == 104); // at recv_past
}
HIDDEN void recvmsg_past(void) {
    put(104);
    struct iovec part = {p, 150};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    CHECK(recvmsg(pair[0], &message, 0) == 104); // at recvmsg_past
}
HIDDEN void fread_past(void) {
    FILE *file = fopen("/dev/zero", "r");
    CHECK(fread(p, 1, 102, file) == 102); // at fread_past
    fclose(file);
}
HIDDEN void getrandom_past(void) { CHECK(getrandom(p, 101, 0) == 101); } // at getrandom_past

HIDDEN void write_past(void) { CHECK(write(nulls, p, 101) == 101); } // at write_past
HIDDEN void writev_past(void) {
    struct iovec parts[] = {{p, 100}, {p + 50, 51}};
    CHECK(writev(nulls, parts, 2) == 151); // at writev_past
}
HIDDEN void send_past(void) { CHECK(send(pair[1], p, 101, 0) == 101); } // at send_past
HIDDEN void sendmsg_past(void) {
    struct iovec part = {p, 101};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    CHECK(sendmsg(pair[1], &message, 0) == 101); // at sendmsg_past
}
HIDDEN void fwrite_past(void) {
    FILE *file = fopen("/dev/null", "w");
    CHECK(fwrite(p, 101, 1, file) == 1); // at fwrite_past
    fclose(file);
}
HIDDEN void write_before(void) { CHECK(write(nulls, p - 4, 8) == 8); } // at write_before

HIDDEN void read_freed(void) {
    Block late = malloc(60); // at read_freed
    free(late); // at read_freed
    if (read(zeros, late, 10) != 10) CHECK(errno == EFAULT); // at read_freed
}
HIDDEN void write_freed(void) {
    Block late = malloc(60); // at write_freed
    free(late); // at write_freed
    if (write(pair[1], late, 10) != 10) CHECK(errno == EFAULT); // at write_freed
}
HIDDEN void writev_freed(void) {
    Block late = malloc(60); // at writev_freed
    free(late); // at writev_freed
    struct iovec part = {late, 10};
    if (writev(pair[1], &part, 1) != 10) CHECK(errno == EFAULT); // at writev_freed
}
HIDDEN void write_given_back(void) {
    Block late = malloc(60); // at write_given_back
    free(late); // at write_given_back
    for (int i = 0; i < 50000; i++) free(malloc(60));
    if (write(pair[1], late, 10) != 10) CHECK(errno == EFAULT); // at write_given_back
}

static void *wait_for_ever(void *silent) {
    char *block = malloc(10);
    pthread_cleanup_push(free, block);
    read(*(int *)silent, block, 10);
    pthread_cleanup_pop(1);
    return NULL;
}
static void nothing(int number) { (void)number; }

/* What is legal, if odd; the leak is there so that there is something to tell. */
HIDDEN void legal(void) {
    put(10);
    CHECK(read(pair[0], p, 1000) == 10);
    CHECK(read(zeros, p, 100) == 100 && read(zeros, p + 100, 0) == 0);
    CHECK(write(nulls, p + 100, 0) == 0);
    CHECK(write(pair[1], p, 100) == 100 && recv(pair[0], p, 100, MSG_TRUNC) == 100);
    errno = 0;
    CHECK(read(-1, p, 10) == -1 && errno == EBADF);
    CHECK(write(nulls, NULL, 5) == 5 && write(pair[1], (void *)8, 5) == -1 && errno == EFAULT);
    CHECK(readv(zeros, (void *)8, 2) == -1 && errno == EFAULT);
    CHECK(recvmsg(pair[0], (void *)8, MSG_DONTWAIT) == -1 && errno == EFAULT);
    CHECK(readv(zeros, NULL, -1) == -1 && errno == EINVAL);
    struct sigaction action = {.sa_handler = nothing};
    sigaction(SIGALRM, &action, NULL);
    // Again and again: the first may come before the read waits.
    ualarm(10000, 10000);
    CHECK(read(pair[0], p, 10) == -1 && errno == EINTR);
    ualarm(0, 0);
    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, wait_for_ever, &pair[0]);
    usleep(10000);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    CHECK(result == PTHREAD_CANCELED);
    Block lost = malloc(50); // at legal
    lost = NULL;
    (void)lost;
}

static const struct { const char *name; void (*run)(void); } KINDS[] = {
    {"read_past", read_past},               // expect: write past the end of a 100-byte block (offset 100): in read(2)
    {"read_chk_past", read_chk_past},       // expect: in read(2)
    {"read_far", read_far},                 // expect: in read(2): 30 bytes from offset 90
    {"pread_past", pread_past},             // expect: in pread(2)
    {"readv_past", readv_past},             // expect: in readv(2)
    {"recv_past", recv_past},               // expect: in recv(2)
    {"recvmsg_past", recvmsg_past},         // expect: in recvmsg(2)
    {"fread_past", fread_past},             // expect: in fread(3)
    {"getrandom_past", getrandom_past},     // expect: in getrandom(2)
    {"write_past", write_past},             // expect: read past the end of a 100-byte block (offset 100): in write(2)
    {"writev_past", writev_past},           // expect: in writev(2)
    {"send_past", send_past},               // expect: in send(2)
    {"sendmsg_past", sendmsg_past},         // expect: in sendmsg(2)
    {"fwrite_past", fwrite_past},           // expect: in fwrite(3)
    {"write_before", write_before},         // expect: in write(2)
    {"read_freed", read_freed},             // expect: write to a freed 60-byte block (offset 0): in read(2)
    {"write_freed", write_freed},           // expect: read of a freed 60-byte block (offset 0): in write(2)
    {"writev_freed", writev_freed},         // expect: in writev(2)
    {"write_given_back", write_given_back}, // expect: in write(2)
    {"legal", legal},                       // expect: 1 leak
};

int main(int argc, char **argv) {
    zeros = open("/dev/zero", O_RDONLY);
    nulls = open("/dev/null", O_WRONLY);
    CHECK(0 < zeros && 0 < nulls && !socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        if (argc < 2 || strcmp(argv[1], KINDS[i].name)) continue;
        p = malloc(100);
        memset(p, 'p', 100);
        KINDS[i].run();
        free(p);
        puts("ended");
    }
    return 5;
}
