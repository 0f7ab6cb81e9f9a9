/* An echo server for bytes with epoll: echo FRAMING PORT. Whatever the framing, its bytes go back as they come. It shows what the system itself costs. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_SIZE 65536
#define EVENTS 256

/* A connection. What its peer has not taken yet is in `waiting`; meanwhile, nothing is read. */
struct connection {
    int descriptor;
    size_t size;
    char *waiting;
};

static int poller;
static char buffer[BUFFER_SIZE];

static void check(int result, const char *what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

static void watch(struct connection *connection, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    check(epoll_ctl(poller, operation, connection->descriptor, &event), "epoll_ctl");
}

static void end(struct connection *connection) {
    close(connection->descriptor);
    free(connection->waiting);
    free(connection);
}

/* Send what fits; keep the rest. */
static void answer(struct connection *connection, const char *data, size_t size) {
    ssize_t sent = write(connection->descriptor, data, size);
    if (sent < 0) {
        if (errno != EAGAIN) {
            end(connection);
            return;
        }
        sent = 0;
    }
    size_t rest = size - (size_t)sent;
    char *waiting = NULL;
    if (rest) {
        waiting = malloc(rest);
        if (!waiting) {
            end(connection);
            return;
        }
        memcpy(waiting, data + sent, rest);
        if (!connection->waiting)
            watch(connection, EPOLL_CTL_MOD, EPOLLOUT);
    } else if (connection->waiting) {
        watch(connection, EPOLL_CTL_MOD, EPOLLIN);
    }
    free(connection->waiting);
    connection->waiting = waiting;
    connection->size = rest;
}

static void serve(struct connection *connection) {
    if (connection->waiting) {
        answer(connection, connection->waiting, connection->size);
        return;
    }
    ssize_t size = read(connection->descriptor, buffer, sizeof buffer);
    if (size > 0)
        answer(connection, buffer, (size_t)size);
    else if (size == 0 || errno != EAGAIN)
        end(connection);
}

static void accept_all(int listener) {
    int descriptor;
    while ((descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct connection *connection = calloc(1, sizeof *connection);
        if (!connection) {
            close(descriptor);
            continue;
        }
        connection->descriptor = descriptor;
        watch(connection, EPOLL_CTL_ADD, EPOLLIN);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: echo FRAMING PORT\n");
        return 2;
    }
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    check(listener, "socket");
    int on = 1;
    check(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "setsockopt");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(listener, (struct sockaddr *)&address, sizeof address), "bind");
    check(listen(listener, 1024), "listen");
    poller = epoll_create1(0);
    check(poller, "epoll_create1");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    check(epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event), "epoll_ctl");
    for (;;) {
        struct epoll_event events[EVENTS];
        int count = epoll_wait(poller, events, EVENTS, -1);
        if (count < 0 && errno != EINTR)
            check(count, "epoll_wait");
        for (int at = 0; at < count; at++) {
            if (events[at].data.ptr)
                serve(events[at].data.ptr);
            else
                accept_all(listener);
        }
    }
}
