"""An upstream whose replies fit their questions and are rubbish behind them; over UDP and TCP."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Sequence
from itertools import count
from typing import Self

from _mutations import MUTATIONS
from _programs import free_port

_A = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc6\x33\x64\x09"  # 198.51.100.9 for 60 s
_ZONE = b"\x07example\x00"


def question_end(packet: bytes) -> int:
    end = 12
    while packet[end]:
        end += packet[end] + 1
    return end + 5


def header(query: bytes, answers: int, *, flags: bytes = b"\x81\x80", rest: bytes = bytes(4)) -> bytes:
    return query[:2] + flags + b"\x00\x01" + answers.to_bytes(2, "big") + rest


def right(query: bytes) -> bytes:
    return header(query, 1) + query[12 : question_end(query)] + _A


def heavy_answers() -> dict[str, tuple[int, bytes]]:
    """Return answer sections made to be costly, as large as a stream carries: count, records."""
    chain = b"".join((0xC000 | max(12, at - 2) & 0x3FFF).to_bytes(2, "big") for at in range(40, 16_000, 2))
    long = b"\x01a" * 120 + b"\xc0\x0c"
    ttl = b"\x00\x00\x00\x3c"

    def record(owner: bytes, rtype: int, data: bytes) -> bytes:
        return owner + rtype.to_bytes(2, "big") + b"\x00\x01" + ttl + len(data).to_bytes(2, "big") + data

    first = record(b"\xc0\x0c", 5, b"\x040000" + _ZONE)
    aliases = b"".join(
        record(b"\x04%04d" % number + _ZONE, 5, b"\x04%04d" % (number + 1) + _ZONE) for number in range(1500)
    )
    addresses = [record(b"\xc0\x0c", 1, number.to_bytes(4, "big")) for number in range(4000)]
    services = b"".join(
        record(b"\xc0\x0c", 65, b"\x00\x01" + b"\x04t%03d" % number + _ZONE + b"\x00\x04\x00\x40" + bytes(64))
        for number in range(500)
    )
    return {
        "many addresses": (4000, b"".join(addresses)),
        "as many as are taken": (500, b"".join(addresses[:500])),
        "large texts": (250, b"".join(record(b"\xc0\x0c", 16, b"\xf0" + bytes(240)) for _ in range(250))),
        "long names": (220, b"".join(record(long, 1, bytes(4)) for _ in range(220))),
        "aliases": (1501, first + aliases),
        "aliases, as many as are taken": (500, first + aliases[: len(aliases) // 1500 * 499]),
        "services": (500, services),
        "a chain of pointers": (1, b"\x01a" + chain + b"\x00\x01\x00\x01" + ttl + b"\x00\x04" + bytes(4)),
        "pointers to it": (
            400,
            record(b"\xc0\x0c", 16, bytes(12_000))
            + b"".join(record((0xC000 | 12 + n % 8).to_bytes(2, "big"), 1, bytes(4)) for n in range(399)),
        ),
    }  # fmt: skip


class HostileUpstream:
    """Answers names under ``heavyN`` with the N-th costly section over TCP, the rest with mutated replies.

    Args:
        seeds: messages whose parts are put behind the question.
        seed: of the dice.
    """

    def __init__(self, seeds: Sequence[bytes], seed: int) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.answered = 0
        self._dice = random.Random(seed)
        self._seeds = seeds
        self._heavy = list(heavy_answers().values())
        self._numbers = count()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._udp.bind(("127.0.0.1", self.port))
        self._tcp = socket.create_server(("127.0.0.1", self.port))
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._serve_udp), threading.Thread(target=self._serve_tcp)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self._udp.getsockname())
        for sock in (self._tcp, *tuple(self._open)):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._udp.close()
        self._tcp.close()

    def _serve_udp(self) -> None:
        while True:
            packet, peer = self._udp.recvfrom(65_535)
            if not packet:
                return
            for reply in self._replies(packet, stream=False):
                self._udp.sendto(reply[:4096], peer)

    def _serve_tcp(self) -> None:
        while True:
            try:
                sock, _ = self._tcp.accept()
            except OSError:
                return
            self._open.add(sock)
            thread = threading.Thread(target=self._serve_stream, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _serve_stream(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError), sock.makefile("rb") as stream:
            while len(size := stream.read(2)) == 2:
                packet = stream.read(int.from_bytes(size, "big"))
                for reply in self._replies(packet, stream=True):
                    sock.sendall(len(reply).to_bytes(2, "big") + reply)
        self._open.discard(sock)

    def _replies(self, query: bytes, *, stream: bool) -> list[bytes]:
        self.answered += 1
        label = query[13 : 13 + query[12]].lower() if query[12] else b""
        if label.startswith(b"heavy"):
            if not stream:
                return [header(query, 0, flags=b"\x83\x80") + query[12 : question_end(query)]]
            number, records = self._heavy[int(label[5:].partition(b"-")[0])]
            return [(header(query, number) + query[12 : question_end(query)] + records)[:65_535]]
        if not label.startswith(b"bad"):
            return [right(query)]
        # What is dropped must not look like silence: the upstream would be left alone.
        return [self._mutated(query), right(query)]

    def _mutated(self, query: bytes) -> bytes:
        dice = self._dice
        seed = dice.choice(self._seeds)
        body = bytearray(dice.choice((_A, seed[question_from(seed) :] or _A, seed[12:] or _A)))
        for _ in range(dice.choice((0, 1, 2, 3))):
            if body:
                dice.choice(MUTATIONS)(body, dice, self._seeds)
        counts = dice.choice(
            (seed[6:12], b"\x00\x01" + bytes(4), dice.randbytes(6), b"\x00\x02\x00\x01\x00\x01")
        )
        flags = dice.choice((b"\x81\x80", b"\x81\x83", b"\x81\x82", b"\x85\xb0", b"\x83\x80"))
        head = query[:2] + flags + b"\x00\x01" + counts
        return (head + query[12 : question_end(query)] + bytes(body))[:65_535]


def question_from(message: bytes) -> int:
    """Return where the records of a message begin, if it has one question; else after its header."""
    with contextlib.suppress(IndexError):
        end = 12
        while message[end]:
            if message[end] >= 64:
                return 12
            end += message[end] + 1
        return end + 5
    return 12
