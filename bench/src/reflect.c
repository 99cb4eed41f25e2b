// The limit of the kernel: every packet goes back with QR set, nothing is looked at.  reflect HOST PORT
#include "dns.h"

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: reflect HOST PORT\n"), 2;
    int fd = udp_socket(argv[1], atoi(argv[2]));
    static struct mmsghdr message[BATCH];
    static struct iovec part[BATCH];
    static uint8_t buffer[BATCH][512];
    static struct sockaddr_in peer[BATCH];
    for (int i = 0; i < BATCH; i++) {
        part[i].iov_base = buffer[i];
        message[i].msg_hdr = (struct msghdr){.msg_iov = part + i, .msg_iovlen = 1, .msg_name = peer + i};
    }
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            part[i].iov_len = sizeof buffer[i];
            message[i].msg_hdr.msg_namelen = sizeof peer[i];
        }
        int count = recvmmsg(fd, message, BATCH, MSG_WAITFORONE, 0);
        for (int i = 0; i < count; i++) {
            buffer[i][2] |= 0x80;
            part[i].iov_len = message[i].msg_len;
        }
        for (int sent = 0; sent < count;) {
            int done = sendmmsg(fd, message + sent, (unsigned)(count - sent), 0);
            if (done <= 0) break;  // the client's buffer is full: it counts a loss
            sent += done;
        }
    }
}
