/* A load client: sends the requests of a file over some connections, one at a time each, for some seconds.
 *
 *   load FILE PORT CONNECTIONS SECONDS [RATE]
 *
 * With a rate, so many are sent a second, each at its time: a latency counts from then, so that a server that
 * stalls cannot hide what it kept waiting. Without one, each connection sends when it has its answer.
 *
 * The file holds requests, each behind its length (32 bits, little-endian). Prints what tests/bench/client.py
 * reads: requests answered, answers without a 2xx, seconds, and the latencies' p50 and p99 in microseconds.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#ifndef __linux__ /* others wait by the millisecond */
#define ppoll(polls, count, most, mask) poll(polls, count, (most)->tv_sec * 1000 + (most)->tv_nsec / 1000000 + 1)
#endif
#define CONNECTIONS_MAX 256
#define HEAD_MAX 65536

typedef struct {
    int fd;
    double sent_at;
    long got, need; /* bytes read; bytes of the whole answer, -1 while its head is not complete */
    int failed;     /* the answer is no 2xx */
    char head[HEAD_MAX];
} Connection;

static char *next_request, *file_end;
static double began, rate;
static long sent;
static Connection connections[CONNECTIONS_MAX];

static void die(const char *why) { perror(why); exit(2); }

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* When the next request is to be sent. */
static double due(void) { return began + sent / rate; }

/* Sends the file's next request; 0 when there is none left. */
static int send_next(Connection *c) {
    uint32_t length;
    if (next_request + 4 > file_end) return 0;
    memcpy(&length, next_request, 4);
    char *body = next_request + 4;
    next_request = body + length;
    c->got = 0; c->need = -1; c->sent_at = rate ? due() : now();
    sent++;
    while (length) {
        ssize_t n = write(c->fd, body, length);
        if (n <= 0) die("write");
        body += n; length -= n;
    }
    return 1;
}

/* Reads what has come; 1 when the answer is complete. */
static int receive(Connection *c) {
    static char skipped[1 << 20];
    ssize_t n;
    if (c->need < 0) {
        if (c->got >= HEAD_MAX - 1) { fprintf(stderr, "an answer's head is too long\n"); exit(2); }
        n = read(c->fd, c->head + c->got, HEAD_MAX - 1 - c->got);
        if (n <= 0) die("the server closed a connection");
        c->got += n;
        c->head[c->got] = 0;
        char *blank = strstr(c->head, "\r\n\r\n");
        if (!blank) return 0;
        c->failed = c->head[9] != '2';
        char *length = strcasestr(c->head, "\r\ncontent-length:");
        c->need = (blank + 4 - c->head) + (length && length < blank ? atol(length + 17) : 0);
    } else {
        n = read(c->fd, skipped, sizeof skipped);
        if (n <= 0) die("the server closed a connection");
        c->got += n;
    }
    return c->got >= c->need;
}

int main(int argc, char **argv) {
    if (argc < 5) { fprintf(stderr, "load FILE PORT CONNECTIONS SECONDS [RATE]\n"); return 2; }
    FILE *file = fopen(argv[1], "rb");
    if (!file) die(argv[1]);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    next_request = malloc(size + 1);
    if (!next_request || fread(next_request, 1, size, file) != (size_t)size) die("read");
    file_end = next_request + size;
    int count = atoi(argv[3]), one = 1, active = 0;
    int idle[CONNECTIONS_MAX], idle_first = 0, idle_count = 0; /* a ring: the one that rested longest is next */
    double seconds = atof(argv[4]);
    rate = argc > 5 ? atof(argv[5]) : 0;
    long room = size / 8 + 16, answered = 0, failed = 0;
    double *latencies = malloc(room * sizeof *latencies);
    if (count > CONNECTIONS_MAX) count = CONNECTIONS_MAX;
    struct pollfd polls[CONNECTIONS_MAX];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < count; i++) {
        connections[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(connections[i].fd, (struct sockaddr *)&address, sizeof address)) die("connect");
        setsockopt(connections[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    double ended = began = now();
    for (int i = 0; i < count; i++) {
        polls[i] = (struct pollfd){.fd = -1, .events = POLLIN};
        idle[idle_count++] = i;
    }
    while (1) {
        double wait = 60, moment = now();
        int over = next_request + 4 > file_end || moment - began >= seconds;
        while (idle_count && !over && (!rate || due() <= moment)) {
            int i = idle[idle_first];
            over = !send_next(&connections[i]);
            if (over) break;
            idle_first = (idle_first + 1) % count;
            idle_count--;
            active++;
            polls[i].fd = connections[i].fd;
        }
        if (over && !active) break;
        int waits = rate && idle_count && !over; /* for the next one's time */
        if (waits && (wait = due() - moment) < 0) wait = 0;
        struct timespec most = {.tv_sec = (time_t)wait, .tv_nsec = (long)((wait - (time_t)wait) * 1e9)};
        if (ppoll(polls, count, &most, NULL) <= 0) {
            if (waits) continue;
            fprintf(stderr, "no answer for a minute\n");
            return 2;
        }
        for (int i = 0; i < count; i++) {
            if (polls[i].fd < 0 || !polls[i].revents || !receive(&connections[i])) continue;
            ended = now();
            latencies[answered++] = ended - connections[i].sent_at;
            failed += connections[i].failed;
            if (!rate && ended - began < seconds && send_next(&connections[i])) continue;
            polls[i].fd = -1;
            active--;
            idle[(idle_first + idle_count++) % count] = i;
        }
    }
    qsort(latencies, answered, sizeof *latencies, compare);
    printf("%ld %ld %.6f %.0f %.0f\n", answered, failed, ended - began,
           answered ? latencies[answered / 2] * 1e6 : 0, answered ? latencies[answered * 99 / 100] * 1e6 : 0);
    return 0;
}
