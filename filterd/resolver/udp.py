"""Queries over UDP: a fresh connected socket for those sent at one moment (RFC 5452).

A lone query has a random port of its own. Under load, queries that leave in the same turn of the loop share
one port for their one round trip, each with a random id and mixed case: as many (port, id) pairs are open as
with a port each, so a forger has the same odds, and a batch costs two system calls instead of five a query.
The kernel lets through nothing but datagrams of that upstream. What does not fit a query is dropped and
counted, and the wait goes on. Never decides whom to ask or how long to wait.
"""

from __future__ import annotations

import asyncio
import errno
import select
import socket
from collections.abc import Callable

import structlog

from filterd import mmsg
from filterd.errors import BadAnswer
from filterd.resolver.asked import Asked
from filterd.resolver.dice import Dice
from filterd.resolver.upstream import Upstream
from filterd.wire.answer import fits, parse_answer
from filterd.wire.constants import HEADER_SIZE
from filterd.wire.query import build_query

MAX_REPLY = 4096  # we ask for 1232 at most; some upstreams send more
BATCH = mmsg.BATCH
MAX_WRONG = 8  # replies that do not fit: then it is an attack, and the questions go over TCP
_SOCKETS_A_TURN = 64

log = structlog.get_logger(__name__)


class Port:
    """A socket connected to an upstream, and the queries sent from it by id."""

    __slots__ = ("live", "past", "sock", "wrong")

    def __init__(self, upstream: Upstream) -> None:
        self.sock = socket.socket(upstream.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.live: dict[int, Asked] = {}
        self.past: set[int] = set()  # ids nobody waits for any more: late answers, not forged ones
        self.wrong = 0  # replies whose id nobody waits for
        try:
            self.sock.connect(upstream.sockaddr)
        except OSError:
            self.sock.close()
            raise


class UdpPorts:
    """Every UDP query under way.

    Args:
        clock: monotonic seconds.
        limit: queries at once.
        dice: where ids come from.
    """

    def __init__(self, clock: Callable[[], float], limit: int, dice: Dice) -> None:
        self.wrong = 0  # id, question or source did not fit: forged or confused
        self.malformed = 0
        self.late = 0  # answers to queries nobody waits for any more
        self.refused_sockets = 0  # over the limit
        self._clock = clock
        self._limit = limit
        self._under_way = 0
        self._queue: dict[Upstream, list[Asked]] = {}
        self._ports: dict[int, Port] = {}
        self._epoll: select.epoll | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dice = dice
        self._out = mmsg.Datagrams(None, slot=512)
        self._in = mmsg.Datagrams(None, slot=MAX_REPLY)

    def __len__(self) -> int:
        return self._under_way

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to listen for replies."""
        self._loop = loop
        self._epoll = select.epoll()
        loop.add_reader(self._epoll.fileno(), self._ready)

    def close(self) -> None:
        """Close every socket; nobody is told."""
        for port in tuple(self._ports.values()):
            for asked in tuple(port.live.values()):
                self.forget(asked)
        for waiting in self._queue.values():
            for asked in waiting:
                self.forget(asked)
        self._queue.clear()
        if self._epoll is not None and self._loop is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
        self._epoll = self._loop = None

    def ask(self, asked: Asked) -> None:
        """Send a query at the end of this turn of the loop; what goes wrong then its sink hears.

        Raises:
            OSError: over the limit (ENOBUFS), or not open.
        """
        loop = self._loop
        if loop is None or self._under_way >= self._limit:
            self.refused_sockets += 1
            raise OSError(errno.ENOBUFS, "too many queries under way")
        if not self._queue:
            loop.call_soon(self._flush)
        self._queue.setdefault(asked.upstream, []).append(asked)
        self._under_way += 1
        asked.waiting = True
        asked.sent_at = self._clock()

    def forget(self, asked: Asked) -> None:
        """Stop waiting; a port nobody waits at is closed."""
        if not asked.waiting:
            return
        asked.waiting = False
        self._under_way -= 1
        port, asked.port = asked.port, None
        if port is not None:  # else it still stands in the queue, and will be left out
            del port.live[asked.message_id]
            port.past.add(asked.message_id)
            if not port.live:
                self._close(port)

    def _close(self, port: Port) -> None:
        self._ports.pop(port.sock.fileno(), None)
        port.sock.close()  # leaves the epoll by itself

    def _flush(self) -> None:
        queue, self._queue = self._queue, {}
        for upstream, waiting in queue.items():
            asked = [one for one in waiting if one.waiting]
            for start in range(0, len(asked), BATCH):
                if self._epoll is not None:
                    self._send(self._epoll, upstream, asked[start : start + BATCH])

    def _send(self, epoll: select.epoll, upstream: Upstream, batch: list[Asked]) -> None:
        try:
            port = Port(upstream)
            epoll.register(port.sock.fileno(), select.EPOLLIN)
            self._ports[port.sock.fileno()] = port
            self._write(port, batch)
        except OSError as error:  # no route, no descriptor left
            for asked in batch:
                self._fail(asked, error)

    def _write(self, port: Port, batch: list[Asked]) -> None:
        packets = []
        for asked in batch:
            message_id = self._dice.roll(2)
            while message_id in port.live:
                message_id = self._dice.roll(2)
            asked.message_id = message_id
            asked.port = port
            port.live[message_id] = asked
            packets.append(build_query(message_id, asked.question, cd=asked.cd, do=asked.do))
        if len(packets) == 1 or not mmsg.available():
            for packet in packets:
                port.sock.send(packet)
            return
        data, sizes = self._out.data, []
        for at, packet in zip(self._out.offsets, packets, strict=False):
            data[at : at + len(packet)] = packet
            sizes.append(len(packet))
        self._out.send(port.sock.fileno(), sizes)  # one that is refused is overdue like one that got lost

    def _fail(self, asked: Asked, error: OSError) -> None:
        if asked.waiting:
            self.forget(asked)
            asked.sink.failed(asked, error)

    def _ready(self) -> None:
        if self._epoll is None:
            return
        for descriptor, _ in self._epoll.poll(0, _SOCKETS_A_TURN):
            port = self._ports.get(descriptor)
            if port is not None:
                self._read(port)

    def _read(self, port: Port) -> None:
        try:
            packets = self._received(port)
        except OSError as error:  # ICMP: port closed, host or net unreachable
            for asked in tuple(port.live.values()):
                self._fail(asked, error)
            return
        for packet in packets:
            try:
                self._take(port, packet)
            except Exception:  # one bad packet never ends the loop
                log.exception("reply_failed")

    def _received(self, port: Port) -> list[bytes]:
        """Return what is waiting, a batch at most: a flood at one port must not starve the others."""
        if len(port.live) == 1 or not mmsg.available():
            try:
                return [port.sock.recv(MAX_REPLY)]
            except BlockingIOError:
                return []
        received = self._in
        count = received.receive(port.sock.fileno())
        data = received.data
        return [
            data[at : at + size] for at, size in zip(received.offsets, received.lengths(count), strict=False)
        ]

    def _take(self, port: Port, packet: bytes) -> None:
        message_id = int.from_bytes(packet[:2])
        asked = port.live.get(message_id)
        if asked is None:
            if message_id in port.past:
                self.late += 1
                return
            self.wrong += 1
            port.wrong += 1
            if port.wrong >= MAX_WRONG:
                for one in tuple(port.live.values()):
                    self._doubt(one)
            return
        if not fits(packet, asked.message_id, asked.question):
            self.wrong += 1
            asked.wrong += 1
            if asked.wrong >= MAX_WRONG or _case_lost(packet, asked):
                self._doubt(asked)
            return
        try:
            answer = parse_answer(packet)
        except BadAnswer:
            self.malformed += 1
            return
        self.forget(asked)
        asked.sink.replied(asked, answer)

    def _doubt(self, asked: Asked) -> None:
        if asked.waiting:
            self.forget(asked)
            asked.sink.doubted(asked)


def _case_lost(packet: bytes, asked: Asked) -> bool:
    """Whether only the mixed case is wrong: an upstream that does not keep it, or a lucky forger."""
    end = HEADER_SIZE + len(asked.question)
    restored = packet[:HEADER_SIZE] + asked.question + packet[end:]
    return packet[HEADER_SIZE:end].lower() == asked.question.lower() and fits(
        restored, asked.message_id, asked.question
    )
