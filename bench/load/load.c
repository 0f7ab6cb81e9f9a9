/* The load: load PORT CONNECTIONS WINDOW WARMUP SECONDS PID echo|relay, to servers on 127.0.0.1.

   It connects, prints "connected", and reads the bytes of one frame from standard input until they end. Then the same
   frame is sent over and over, with at most WINDOW of them on their way on each connection, and every byte that comes
   back is compared with it. With `relay`, the first connection sends and all others receive; a frame is on its way until
   the last of them has it.

   After WARMUP seconds, it measures for SECONDS: the frames that arrived, and the CPU time of the process PID. It prints
   one JSON object. A wrong byte, an end of stream, or PATIENCE seconds too many end it with a line on standard error. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE (256 * 1024)
#define EVENTS 256
#define PATIENCE 20

/* sent, received: bytes. blocked: its peer has not taken what was sent last. */
struct connection {
    int descriptor;
    bool blocked;
    size_t sent, received;
};

struct moment {
    double wall, cpu, user, system;
    size_t received;
};

static struct connection *connections;
static int poller, count;
/* The connections on which a whole frame has come. */
static int answered;
static bool relay;
/* The frame, repeated until a piece that starts anywhere in the first of them fits. */
static char *pattern;
static size_t frame, pattern_size, window, received;

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void check(int result, const char *what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

static double seconds(clockid_t clock) {
    struct timespec now;
    check(clock_gettime(clock, &now), "clock_gettime");
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* The processor time comes in nanoseconds; how it is divided into user and system, in ticks. */
static struct moment moment(pid_t pid) {
    struct moment now = {.wall = seconds(CLOCK_MONOTONIC), .received = received};
    clockid_t clock;
    if (clock_getcpuclockid(pid, &clock))
        fail("the server has ended");
    now.cpu = seconds(clock);
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (!file || !fgets(line, sizeof line, file))
        fail("the server has ended");
    fclose(file);
    unsigned long user, system;
    /* The name, the second field, may contain anything, but ends with the last parenthesis. */
    if (sscanf(strrchr(line, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        fail("/proc/PID/stat is not as expected");
    now.user = (double)user / (double)sysconf(_SC_CLK_TCK);
    now.system = (double)system / (double)sysconf(_SC_CLK_TCK);
    return now;
}

static void watch(struct connection *connection, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    check(epoll_ctl(poller, operation, connection->descriptor, &event), "epoll_ctl");
}

static void connect_all(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connections = calloc((size_t)count, sizeof *connections);
    if (!connections)
        fail("no memory");
    for (int at = 0; at < count; at++) {
        int on = 1, descriptor = socket(AF_INET, SOCK_STREAM, 0);
        check(descriptor, "socket");
        check(connect(descriptor, (struct sockaddr *)&address, sizeof address), "connect");
        check(setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "setsockopt");
        connections[at].descriptor = descriptor;
        watch(&connections[at], EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void read_frame(void) {
    size_t room = PIECE;
    char *bytes = malloc(room);
    while (bytes) {
        ssize_t size = read(STDIN_FILENO, bytes + frame, room - frame);
        check((int)size, "standard input");
        if (!size)
            break;
        frame += (size_t)size;
        if (frame == room)
            bytes = realloc(bytes, room *= 2);
    }
    if (!bytes || !frame)
        fail("no frame on standard input");
    size_t times = (PIECE + frame - 1) / frame + 1;
    pattern_size = times * frame;
    pattern = malloc(pattern_size);
    if (!pattern)
        fail("no memory");
    for (size_t at = 0; at < times; at++)
        memcpy(pattern + at * frame, bytes, frame);
    free(bytes);
}

/* Send until `answered` frames, and a window of further ones, are sent, or the socket takes no more. */
static void pump(struct connection *connection, size_t answered) {
    size_t limit = (answered + window) * frame;
    bool blocked = false;
    while (!blocked && connection->sent < limit) {
        size_t start = connection->sent % frame, size = limit - connection->sent;
        if (size > pattern_size - start)
            size = pattern_size - start;
        ssize_t sent = send(connection->descriptor, pattern + start, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            check(-1, "send");
        blocked = sent < 0;
        if (!blocked)
            connection->sent += (size_t)sent;
    }
    if (blocked != connection->blocked) {
        connection->blocked = blocked;
        watch(connection, EPOLL_CTL_MOD, blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
}

static void receive(struct connection *connection) {
    static char buffer[PIECE];
    ssize_t size = recv(connection->descriptor, buffer, sizeof buffer, MSG_DONTWAIT);
    if (size < 0) {
        if (errno != EAGAIN)
            check(-1, "recv");
        return;
    }
    if (!size)
        fail("the server ended the stream");
    if (memcmp(buffer, pattern + connection->received % frame, (size_t)size))
        fail("a wrong byte came back");
    if (connection->received < frame && connection->received + (size_t)size >= frame)
        answered++;
    connection->received += (size_t)size;
    received += (size_t)size;
    if (!relay && connection->received > connection->sent)
        fail("more came back than was sent");
}

/* The frames that all receivers of a relay have. */
static size_t relayed(void) {
    size_t least = connections[1].received;
    for (int at = 2; at < count; at++)
        if (connections[at].received < least)
            least = connections[at].received;
    return least / frame;
}

static void turn(void) {
    struct epoll_event events[EVENTS];
    int ready = epoll_wait(poller, events, EVENTS, 100);
    if (ready < 0 && errno != EINTR)
        check(ready, "epoll_wait");
    for (int at = 0; at < ready; at++) {
        struct connection *connection = events[at].data.ptr;
        if (events[at].events & ~(uint32_t)EPOLLOUT)
            receive(connection);
        if (!relay)
            pump(connection, connection->received / frame);
    }
    if (relay)
        pump(connections, relayed());
}

int main(int argc, char **argv) {
    if (argc != 8)
        fail("usage: load PORT CONNECTIONS WINDOW WARMUP SECONDS PID echo|relay");
    count = atoi(argv[2]);
    window = (size_t)atol(argv[3]);
    double warmup = atof(argv[4]), duration = atof(argv[5]);
    pid_t pid = atoi(argv[6]);
    relay = !strcmp(argv[7], "relay");
    if (count < (relay ? 2 : 1) || !window)
        fail("too few connections, or no window");
    alarm((unsigned)(warmup + duration) + PATIENCE);
    poller = epoll_create1(0);
    check(poller, "epoll_create1");
    connect_all(atoi(argv[1]));
    puts("connected");
    fflush(stdout);
    read_frame();

    for (int at = 0; at < (relay ? 1 : count); at++)
        pump(&connections[at], 0);
    /* The server has accepted all of them, which is no part of what is measured. */
    while (answered < (relay ? count - 1 : count))
        turn();
    double start = seconds(CLOCK_MONOTONIC);
    /* What is measured starts and ends between two turns, and there is something to count. The clock of a process that
       runs may stand still for a few milliseconds. */
    while (seconds(CLOCK_MONOTONIC) < start + warmup)
        turn();
    struct moment from = moment(pid);
    while (seconds(CLOCK_MONOTONIC) < from.wall + duration || received == from.received)
        turn();
    struct moment to;
    while ((to = moment(pid)).cpu == from.cpu)
        turn();
    printf("{\"frames\": %.6f, \"seconds\": %.9f, \"cpu\": %.9f, \"user\": %.2f, \"system\": %.2f}\n",
           (double)(to.received - from.received) / (double)frame, to.wall - from.wall, to.cpu - from.cpu,
           to.user - from.user, to.system - from.system);
    return 0;
}
