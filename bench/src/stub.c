// The upstream of every peer: any name exists, with one A, AAAA and HTTPS record; other types get NODATA.
//   stub HOST PORT        Answers are cacheable for an hour. UDP only; no answer is larger than 512 bytes.
#include "dns.h"

// Record header after a pointer to the question's name: type, class IN, TTL 3600, length.
static uint8_t *record(uint8_t *out, int type, int length) {
    const uint8_t head[12] = {0xc0, HEADER, 0, (uint8_t)type, 0, 1, 0, 0, 0x0e, 0x10, 0, (uint8_t)length};
    memcpy(out, head, sizeof head);
    return out + sizeof head;
}

// Turn the query into its answer in place; its length, or 0 for what is no query.
static int answer(uint8_t *packet, int length) {
    if (length < HEADER + 5 || packet[2] & 0xf8 || packet[4] || packet[5] != 1) return 0;
    int end = name_end(packet, HEADER, length);
    if (!end || end + 4 > length) return 0;
    int type = packet[end] << 8 | packet[end + 1];
    bool edns = packet[11] != 0;
    uint32_t hash = name_hash(packet + HEADER, end - HEADER);
    uint8_t *out = packet + end + 4;
    packet[2] = 0x80 | (packet[2] & 1), packet[3] = 0x80;  // QR, RD as asked, RA
    memset(packet + 6, 0, 6);
    if (type == TYPE_A) {
        address_v4(hash, record(out, type, 4));
        out += 12 + 4;
    } else if (type == TYPE_AAAA) {
        address_v6(hash, record(out, type, 16));
        out += 12 + 16;
    } else if (type == TYPE_HTTPS) {
        static const uint8_t service[] = {0, 1, 0, 0, 1, 0, 3, 2, 'h', '2'};  // 1 . alpn=h2
        memcpy(record(out, type, sizeof service), service, sizeof service);
        out += 12 + sizeof service;
    } else {
        static const uint8_t soa[] = {0, 0, 0, 0, 0, 1, 0, 0, 0x0e, 0x10, 0, 0, 2, 0x58,
                                      0, 1, 0x51, 0x80, 0, 0, 0x0e, 0x10};  // . . 1 3600 600 86400 3600
        memcpy(record(out, TYPE_SOA, sizeof soa), soa, sizeof soa);
        out += 12 + sizeof soa;
    }
    packet[type == TYPE_A || type == TYPE_AAAA || type == TYPE_HTTPS ? 7 : 9] = 1;
    if (edns) {
        static const uint8_t opt[] = {0, 0, TYPE_OPT, 4, 0xd0, 0, 0, 0, 0, 0, 0};
        memcpy(out, opt, sizeof opt);
        out += sizeof opt;
        packet[11] = 1;
    }
    return (int)(out - packet);
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: stub HOST PORT\n"), 2;
    int fd = udp_socket(argv[1], atoi(argv[2]));
    static struct mmsghdr in[BATCH], out[BATCH];
    static struct iovec part[BATCH];
    static uint8_t buffer[BATCH][2048];
    static struct sockaddr_in peer[BATCH];
    for (int i = 0; i < BATCH; i++) {
        part[i].iov_base = buffer[i];
        in[i].msg_hdr = (struct msghdr){.msg_iov = part + i, .msg_iovlen = 1, .msg_name = peer + i};
    }
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            part[i].iov_len = 1500;  // leaves room for the answer
            in[i].msg_hdr.msg_namelen = sizeof peer[i];
        }
        int count = recvmmsg(fd, in, BATCH, MSG_WAITFORONE, 0), answers = 0;
        for (int i = 0; i < count; i++) {
            int length = answer(buffer[i], (int)in[i].msg_len);
            if (!length) continue;
            part[i].iov_len = (size_t)length;
            out[answers++] = in[i];
        }
        for (int sent = 0; sent < answers;) {
            int done = sendmmsg(fd, out + sent, (unsigned)(answers - sent), 0);
            if (done <= 0) break;
            sent += done;
        }
    }
}
