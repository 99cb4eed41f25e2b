"""Sends packets to a live filter and holds every reply against what it must be; measures the DNS process."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import dns.message
from _product import DNS, Product

from filterd.wire.constants import Type
from filterd.wire.rdata import CHECKED

BATCH = 32
SENTINEL = b"\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x08sentinel\x051xbet\x03com\x00\x00\x01\x00\x01"
_PATIENCE = 20.0
_SLOT = 2048  # a datagram over this is no query: nothing that long can be one
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Gauge:
    """What the DNS process uses."""

    def __init__(self, product: Product) -> None:
        self.pid = product.child(DNS)
        self._clock = ~self.pid << 3 | 2  # clock_getcpuclockid(3): all threads of that process

    def cpu(self) -> float:
        """Return the seconds of CPU used so far."""
        return time.clock_gettime(self._clock)

    def resident(self) -> int:
        """Return the bytes of memory that only this process holds: anonymous pages."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return 1024 * int(text.partition("\nAnonymous:")[2].split()[0])


class Listening:
    """A client that knows what it is owed. Ids are given here: 1 to 65535, in turn.

    Attributes:
        sent, answered: packets.
        rcodes: how often each was seen.
    """

    def __init__(self, product: Product) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.connect(("127.0.0.1", product.port))
        self._socket.settimeout(_PATIENCE)
        self._owed: dict[int, bytes] = {}
        self._unowed: dict[int, bytes] = {}
        self._id = 0
        self.sent = 0
        self.answered = 0
        self.rcodes: dict[int, int] = {}

    def close(self) -> None:
        self._socket.close()

    def batch(self, packets: list[bytes]) -> None:
        """Send packets, and wait until the filter has read the last of them.

        A datagram socket keeps order: once the sentinel is answered, everything before it was taken.
        """
        for packet in packets:
            self._id = self._id % 65_535 + 1
            self._owed.pop(self._id, None)
            self._unowed.pop(self._id, None)
            renamed = self._id.to_bytes(2, "big") + packet[2:] if len(packet) > 1 else packet
            (self._owed if is_owed(renamed) else self._unowed)[self._id] = renamed
            self._socket.send(renamed[:65_507])
            self.sent += 1
        self._socket.send(SENTINEL)
        while self._take() != 0:
            pass

    def finish(self) -> None:
        """Wait for the answers that an upstream had to give; every query must get one."""
        while self._owed:
            try:
                self._take()
            except TimeoutError:
                unanswered = next(iter(self._owed.values()))
                raise AssertionError(f"{len(self._owed)} got no answer: {unanswered.hex()}") from None

    def _take(self) -> int:
        reply = self._socket.recv(65_535)
        number = int.from_bytes(reply[:2], "big")
        if number == 0:
            return 0
        assert number not in self._unowed, f"an answer to no query: {self._unowed[number].hex()}"
        packet = self._owed.pop(number, None)
        assert packet is not None, f"an answer nobody asked for: {reply.hex()}"
        check(packet, reply, limit=1232)
        self.answered += 1
        self.rcodes[reply[3] & 15] = self.rcodes.get(reply[3] & 15, 0) + 1
        return number


_READ = CHECKED | {Type.OPT}
_UNKNOWN = (65_280).to_bytes(2, "big")


def is_owed(packet: bytes) -> bool:
    """Return whether a datagram is a query, however bad: it gets exactly one answer."""
    return 12 <= len(packet) <= _SLOT and not packet[2] & 0x80


def opaque(message: bytes) -> bytes:
    """Return a message in which records of types whose data passes byte by byte have a type nobody knows.

    What stands in them is between the upstream and the client (RFC 3597); dnspython reads some of them.
    """
    made, at = bytearray(message), 12
    questions, *records = (int.from_bytes(message[place : place + 2], "big") for place in (4, 6, 8, 10))
    for number in range(questions + sum(records)):
        while 0 < message[at] < 0xC0:
            at += 1 + message[at]
        at += 2 if message[at] else 1
        if number < questions:
            at += 4
            continue
        if int.from_bytes(message[at : at + 2], "big") not in _READ:
            made[at : at + 2] = _UNKNOWN
        at += 10 + int.from_bytes(message[at + 8 : at + 10], "big")
    return bytes(made)


def check(packet: bytes, reply: bytes, *, limit: int) -> None:
    """Hold a reply against the packet it answers.

    Raises:
        AssertionError: with the packet in it.
    """
    told = f"packet {packet.hex()}, reply {reply.hex()}"
    plain = opaque(
        reply[:2] + bytes((reply[2] & 0x87,)) + reply[3:]
    )  # it reads updates by rules of their own
    try:
        message = dns.message.from_wire(plain, ignore_trailing=False)
    except Exception as error:
        raise AssertionError(f"dnspython cannot read it: {error!r}; {told}") from error
    assert reply[:2] == packet[:2], told
    assert reply[2] & 0x80, told
    assert reply[2] & 0x79 == packet[2] & 0x79, f"opcode and RD; {told}"
    assert len(reply) <= limit, told
    questions = int.from_bytes(reply[4:6], "big")
    if questions:
        assert questions == 1, told
        end = len(message.question[0].name.to_wire()) + 16
        assert reply[12:end] == packet[12:end], f"the question differs; {told}"
    else:
        assert not message.answer, told
        assert message.rcode() != 0 or message.edns == 0, f"neither an error nor a cookie alone; {told}"
