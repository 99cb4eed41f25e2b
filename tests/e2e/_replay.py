"""The replay: data for every real name, a client that asks by the ten thousand, and answers compared."""

from __future__ import annotations

import selectors
import socket
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import dns.name
from _programs import PATIENCE, Server

A, CNAME, PTR, TXT, AAAA, HTTPS = 1, 5, 12, 16, 28, 65
TTL = 3600


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of the replay: the query but for its id, and who asks."""

    name: dns.name.Name
    qtype: int
    query: bytes
    client: int


def read_names(path: Path) -> list[dns.name.Name]:
    """Return the names of the sample, in their order."""
    return [dns.name.from_text(line) for line in path.read_text("ascii").split()]


def questions(names: Sequence[dns.name.Name], clients: int) -> list[Asked]:
    """Return what is asked: PTR of reverse names, else mostly A, a share of AAAA and HTTPS."""
    asked = []
    for number, name in enumerate(names):
        qtype = PTR if name.is_subdomain(_ARPA) else _TYPES[number % len(_TYPES)]
        wire = name.to_wire()
        assert wire is not None
        query = b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + wire + struct.pack("!HH", qtype, 1)
        asked.append(Asked(name, qtype, query, number % clients))
    return asked


_ARPA = dns.name.from_text("arpa.")
_TYPES = (A, A, A, A, A, A, A, AAAA, AAAA, HTTPS)


def zone_lines(names: Sequence[dns.name.Name]) -> Iterator[str]:
    """Yield one root zone with data for the names: what a name has follows from the name alone.

    Of a hundred names about 50 have addresses, some with HTTPS records; 15 are aliases, half of them of other
    names of the sample; 15 exist without addresses; 2 have private addresses; the rest is missing.
    """
    yield f". {TTL} IN SOA ns.root. hostmaster.root. 1 3600 600 86400 300"
    yield f". {TTL} IN NS ns.root."
    yield f"ns.root. {TTL} IN A 127.0.0.1"
    yield f"*.alias.cdn-of-the-replay.net. {TTL} IN A 198.51.100.222"
    unique = sorted({name.canonicalize() for name in names})
    addressed = [name for name in unique if _lot(name) < 50 and not name.is_subdomain(_ARPA)]
    for name in unique:
        yield from _records(name, addressed)


def _lot(name: dns.name.Name) -> int:
    return zlib.crc32(name.canonicalize().to_wire() or b"") % 100


def _records(name: dns.name.Name, addressed: Sequence[dns.name.Name]) -> Iterator[str]:
    number = zlib.crc32((name.to_wire() or b"") + b"data")
    lot, text = _lot(name), name.to_text()
    if name.is_subdomain(_ARPA):
        if lot < 60:
            yield f"{text} {TTL} IN PTR host-{number % 5000}.example.net."
    elif lot < 50:
        for more in range(1 + number % 3):
            yield f"{text} {TTL} IN A {_public(number + more)}"
        if number & 8:
            yield f"{text} {TTL} IN AAAA 2001:db8:{number & 0xFFFF:x}::{number >> 16:x}"
        if lot < 20:
            target = addressed[number % len(addressed)].to_text() if lot < 5 else "."
            yield f"{text} {TTL} IN HTTPS 1 {target} alpn=h2,h3 ipv4hint={_public(number)}"
    elif lot < 65:
        there = (
            addressed[number % len(addressed)].to_text()
            if lot < 58
            else f"{number}.alias.cdn-of-the-replay.net."
        )
        yield f"{text} {TTL} IN CNAME {there}"
    elif lot < 80:
        yield f'{text} {TTL} IN TXT "no address"'
    elif lot < 82:
        yield f"{text} {TTL} IN A {('10.1.2.3', '192.168.0.9', '127.0.0.1', '169.254.1.1')[number % 4]}"


def _public(number: int) -> str:
    return f"198.{18 + (number >> 16 & 1)}.{number >> 8 & 0xFF}.{number & 0xFF}"


class Lost(Exception):
    """Questions stayed without an answer."""


def replay(server: Server, asked: Sequence[Asked], clients: Sequence[str], *, window: int = 4) -> list[bytes]:
    """Ask all questions, each client with so many under way, and return the answers in their order.

    Raises:
        Lost: for a while no answer came.
    """
    answers: list[bytes] = [b""] * len(asked)
    queues: list[list[int]] = [[] for _ in clients]
    for number, one in enumerate(asked):
        queues[one.client].append(number)
    socks = []
    with selectors.DefaultSelector() as selector:
        try:
            for number, client in enumerate(clients):
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                socks.append(sock)
                sock.bind((client, 0))
                sock.connect((server.host, server.port))
                sock.setblocking(False)
                queues[number].reverse()
                selector.register(
                    sock, selectors.EVENT_READ, _Client(sock, queues[number], asked, answers, window)
                )
            left, last = len(asked), time.monotonic()
            while left:
                ready = selector.select(0.5)
                for key, _ in ready:
                    left -= key.data.take()
                now = time.monotonic()
                if ready:
                    last = now
                elif now - last > PATIENCE / 3:
                    raise Lost(f"{left} of {len(asked)} questions without an answer")
        finally:
            for sock in socks:
                sock.close()
    return answers


class _Client:
    """One client's socket with its window."""

    def __init__(
        self, sock: socket.socket, queue: list[int], asked: Sequence[Asked], answers: list[bytes], window: int
    ) -> None:
        self._sock, self._queue, self._asked, self._answers = sock, queue, asked, answers
        self._pending: dict[int, int] = {}
        self._id = 0
        for _ in range(min(window, len(queue))):
            self._send()

    def _send(self) -> None:
        if self._queue:
            number = self._queue.pop()
            self._id = (self._id + 1) & 0xFFFF
            self._pending[self._id] = number
            self._sock.send(self._id.to_bytes(2, "big") + self._asked[number].query)

    def take(self) -> int:
        taken = 0
        while True:
            try:
                packet = self._sock.recv(4096)
            except BlockingIOError:
                return taken
            number = self._pending.pop(int.from_bytes(packet[:2], "big"))
            query = self._asked[number].query
            assert packet[12 : 12 + len(query) - 10] == query[10:], "an answer to another question"
            self._answers[number] = packet
            taken += 1
            self._send()


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer says, in a form that can be compared: names lower case, compression undone.

    Attributes:
        rcode: of the header.
        tc: cut short.
        records: (owner, type, data) of the answer section, sorted.
        ttls: largest TTL in it, 0 without records.
    """

    rcode: int
    tc: bool
    records: tuple[tuple[bytes, int, bytes], ...]
    ttl: int


def said(packet: bytes, question_end: int) -> Said:
    """Read an answer, independently of the product's own readers.

    Args:
        packet: the answer.
        question_end: where its question ends.
    """
    at, ttl, records = question_end, 0, []
    for _ in range(int.from_bytes(packet[6:8], "big")):
        owner, at = _name(packet, at)
        rtype, _, its_ttl, size = struct.unpack_from("!HHIH", packet, at)
        at += 10
        data = packet[at : at + size]
        if rtype in (CNAME, PTR):
            data, _ = _name(packet, at)
        elif rtype == HTTPS:  # its target is never compressed (RFC 9460 section 2.2)
            data = data[:2] + data[2:].lower()
        at += size
        ttl = max(ttl, its_ttl)
        records.append((owner, rtype, data))
    return Said(packet[3] & 0x0F, bool(packet[2] & 2), tuple(sorted(records)), ttl)


def _name(packet: bytes, at: int) -> tuple[bytes, int]:
    labels, end = [], 0
    while length := packet[at]:
        if length >= 0xC0:
            end = end or at + 2
            at = int.from_bytes(packet[at : at + 2], "big") & 0x3FFF
            continue
        labels.append(packet[at : at + 1 + length])
        at += 1 + length
    return b"".join(labels).lower() + b"\0", end or at + 1
