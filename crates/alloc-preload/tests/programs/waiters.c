/* Threads that wait, each in another call, while the process ends. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

enum { CASES = 8 };
static atomic_int ready;
static int ends[2];
static sem_t never;

static void *waits(void *arg) {
    struct timespec time = {100, 0}, later;
    struct timeval value = {100, 0};
    struct pollfd file = {ends[0], POLLIN, 0};
    struct epoll_event event = {EPOLLIN, {0}};
    int poll_ = epoll_create1(0);
    char byte;
    epoll_ctl(poll_, EPOLL_CTL_ADD, ends[0], &event);
    clock_gettime(CLOCK_REALTIME, &later);
    later.tv_sec += 100;
    free(malloc(10));
    ready++;
    long got = 0;
    switch ((int)(long)arg) {
    case 0: got = poll(&file, 1, 100000); break;
    case 1: got = epoll_wait(poll_, &event, 1, 100000); break;
    case 2: got = nanosleep(&time, NULL); break;
    case 3: got = select(0, NULL, NULL, NULL, &value); break;
    case 4: got = sem_timedwait(&never, &later); break;
    case 5: got = read(ends[0], &byte, 1); break;
    case 6: got = ppoll(&file, 1, &time, NULL); break;
    case 7: got = pause(); break;
    }
    char text[64];
    int len = snprintf(text, sizeof text, "%ld: %ld %s\n", (long)arg, got, strerror(errno));
    return (void *)(long)write(1, text, len);
}

int main(void) {
    pthread_t id;
    if (pipe(ends) || sem_init(&never, 0, 0)) return 9;
    for (long i = 0; i < CASES; i++) pthread_create(&id, NULL, waits, (void *)i);
    while (ready < CASES) usleep(1000);
    usleep(100000);
    puts("exits");
    fflush(stdout);
    return 0;
}
