// What the load generator, the stub upstream and the reflector share: sockets and the few bytes of DNS they touch.
// The address in an answer is a hash of the question's name, so that the generator can tell a right answer from
// any other. Addresses are of the benchmarking ranges: 198.18.0.0/15 (RFC 2544), 2001:2::/48 (RFC 5180).
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, HEADER = 12, TYPE_A = 1, TYPE_SOA = 6, TYPE_AAAA = 28, TYPE_OPT = 41, TYPE_HTTPS = 65 };

static inline void die(const char *what) {
    perror(what);
    exit(1);
}

static inline struct sockaddr_in address_of(const char *host, int port) {
    struct sockaddr_in found = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (!inet_aton(host, &found.sin_addr)) {
        fprintf(stderr, "not an IPv4 address: %s\n", host);
        exit(1);
    }
    return found;
}

// A bound UDP socket with buffers large enough that no batch is lost between two calls.
static inline int udp_socket(const char *host, int port) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 4 << 20;
    if (fd < 0) die("socket");
    // As root past the limit of the system; else as much as it grants.
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size))
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    struct sockaddr_in local = address_of(host, port);
    if (bind(fd, (struct sockaddr *)&local, sizeof local)) die("bind");
    return fd;
}

// Offset after the name at `at`, or 0: a name of a question is not compressed.
static inline int name_end(const uint8_t *packet, int at, int length) {
    while (at < length && packet[at]) {
        if (packet[at] > 63) return 0;
        at += packet[at] + 1;
    }
    return at < length ? at + 1 : 0;
}

// FNV-1a over the lower-cased name.
static inline uint32_t name_hash(const uint8_t *name, int length) {
    uint32_t hash = 2166136261u;
    for (int i = 0; i < length; i++) {
        uint8_t byte = name[i];
        if (byte >= 'A' && byte <= 'Z') byte |= 0x20;
        hash = (hash ^ byte) * 16777619u;
    }
    return hash;
}

static inline void address_v4(uint32_t hash, uint8_t out[4]) {
    out[0] = 198, out[1] = 18 | (hash >> 16 & 1), out[2] = (uint8_t)(hash >> 8), out[3] = (uint8_t)hash;
}

static inline void address_v6(uint32_t hash, uint8_t out[16]) {
    static const uint8_t prefix[16] = {0x20, 0x01, 0x00, 0x02};
    memcpy(out, prefix, 16);
    for (int i = 0; i < 4; i++) out[12 + i] = (uint8_t)(hash >> (24 - 8 * i));
}
