"""DNS over UDP, the fast way: 64 datagrams a system call, remembered replies written over their questions.

For a question that was answered before, nothing is parsed and nothing is decided: client -> view (a dict),
question bytes -> reply (a dict), a counter, a record if it is a block, bytes copied. Everything else goes to
the handler, whose answer is remembered. What is served here is byte for byte what the handler answers.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from functools import partial
from time import monotonic, time
from typing import Any

import structlog

from filterd.mmsg import BATCH, SLOT, Datagrams
from filterd.resolver.request import Request
from filterd.server.clients import Client, Clients
from filterd.server.handler import Handler
from filterd.server.memo import Entry, Memo

log = structlog.get_logger(__name__)

_ROUNDS = 8  # batches a turn of the loop: its other work is never kept waiting longer
_MAX_LANES = 65_536


class Lane:
    """What the fast path needs to know of one client: its memo, and who it is in records."""

    __slots__ = ("asked", "client", "entries", "memo", "source")

    def __init__(self, client: Client, memo: Memo | None) -> None:
        self.asked = client.asked
        self.client = client
        self.memo = memo
        # A client outside the ACL has no memo: each of its questions goes to the handler, which refuses it.
        self.entries: dict[bytes, Entry] = memo.entries if memo is not None else {}
        self.source = (client.address, client.mac)


class FastListener:
    """Serves one bound UDP socket by batches until :meth:`close`."""

    def __init__(self, sock: socket.socket, handler: Handler, clients: Clients) -> None:
        wildcard = sock.getsockname()[0] in ("0.0.0.0", "::")
        self._socket = sock
        self._descriptor = sock.fileno()
        self._v6 = sock.family == socket.AF_INET6
        self._datagrams = Datagrams(sock.family, destinations=wildcard)
        self._outgoing = Datagrams(sock.family, destinations=wildcard)
        self._late: list[tuple[bytes, bytes, bytes]] = []
        self._handler = handler
        self._clients = clients
        self._lanes: dict[Any, Lane] = {}
        self._from, self._until = 0.0, 0.0  # UTC seconds between which every lane's view holds
        self._limited = handler.rate.per_second > 0
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        self._loop.add_reader(self._descriptor, self._readable)

    def close(self) -> None:
        """Stop reading. The socket stays open for answers that are still on their way."""
        self._loop.remove_reader(self._descriptor)

    def forget(self) -> None:
        """Look at every client anew: the policy, the index or the groups changed."""
        self._lanes.clear()

    def _readable(self) -> None:
        datagrams = self._datagrams
        for _ in range(_ROUNDS):
            try:
                count = datagrams.receive(self._descriptor)
            except OSError as error:  # an ICMP error of an earlier answer; the socket is still good
                self._handler.counters["udp_receive_errors"] += 1
                log.debug("udp_receive_error", error=str(error))
                continue
            if count:
                self._serve(count)
            if count < BATCH:
                return

    def _serve(self, count: int) -> None:
        now = monotonic()
        self._handler.memos.expire(now)
        # Outside: a bell rang, an override ended, or the clock was set, be it back.
        if not self._from <= time() < self._until or len(self._lanes) > _MAX_LANES:
            self._lanes.clear()
            self._from, self._until = 0.0, float("inf")
        datagrams = self._datagrams
        data, lengths = datagrams.data, datagrams.lengths(count)
        sources = datagrams.sources_v6(count) if self._v6 else datagrams.source_v4[:count].tolist()
        over = self._over_limit(sources, now)
        lanes = self._lanes
        sizes = []
        blocks = []
        for source, at, length in zip(sources, datagrams.offsets, lengths, strict=False):
            lane = lanes.get(source) or self._lane(source, now)
            entry = lane.entries.get(data[at + 2 : at + length])
            if entry is None or source in over:
                sizes.append(self._slowly(at, length, lane, admitted=source not in over))
                continue
            reply, cell, blocked = entry
            cell[0] += 1
            if blocked is not None:
                blocks.append(lane.source + blocked)
            size = len(reply) + 2
            data[at + 2 : at + size] = reply
            sizes.append(size)
        if blocks:
            self._handler.recorder.extend(blocks)
        refused = datagrams.send(self._descriptor, sizes)
        if refused:
            self._handler.counters["udp_send_errors"] += refused

    def _slowly(self, at: int, length: int, lane: Lane, *, admitted: bool) -> int:
        """Let the handler answer the datagram at ``at``; return the size of the reply written there, or 0."""
        data = self._datagrams.data
        index = at // SLOT
        if self._datagrams.cut(index):
            self._handler.counters["packets_ignored"] += 1
            return 0
        packet = data[at : at + length]
        try:
            answer = self._handler.handle(packet, lane.client, "udp", lane.memo, admitted=admitted)
        except Exception:  # one bad packet never ends the loop; counted and logged with its trace
            self._handler.counters["handler_errors"] += 1
            log.exception("packet_failed", size=length)
            return 0
        if type(answer) is bytes:
            data[at : at + len(answer)] = answer
            return len(answer)
        if isinstance(answer, Request):
            send = partial(self._send_later, self._datagrams.sockaddr(index), self._datagrams.control(index))
            self._handler.finish(answer, lane.client, send)
        return 0

    def _lane(self, source: Any, now: float) -> Lane:
        packed = source if self._v6 else source.to_bytes(4, "little")
        client = self._clients.get(socket.inet_ntop(self._socket.family, packed), now)
        memo = None
        if client.permitted:
            view = self._handler.view_of(client.group)
            memo = self._handler.memos.of(view)
            if view.valid_until is not None:
                self._until = min(self._until, view.valid_until)
            if view.valid_from is not None:
                self._from = max(self._from, view.valid_from)
        lane = self._lanes[source] = Lane(client, memo)
        return lane

    def _over_limit(self, sources: list[Any], now: float) -> set[Any]:
        """Count a batch, take its tokens at once; return who has too few: the handler limits them."""
        rate = self._handler.rate
        over: set[Any] = set()
        limited = self._limited
        for source, count in Counter(sources).items():
            lane = self._lanes.get(source) or self._lane(source, now)
            lane.asked[0] += count
            if limited and not lane.client.bucket.take(rate, now, count):
                over.add(source)
        return over

    def _send_later(self, sockaddr: bytes, control: bytes, packet: bytes) -> None:
        """Send an answer that had to wait, at the end of this turn of the loop, with the others."""
        if not self._late:
            self._loop.call_soon(self._flush)
        self._late.append((packet, sockaddr, control))

    def _flush(self) -> None:
        late, self._late = self._late, []
        outgoing = self._outgoing
        for start in range(0, len(late), BATCH):
            sizes = []
            for index, (packet, sockaddr, control) in enumerate(late[start : start + BATCH]):
                outgoing.put(index, packet, sockaddr, control)
                sizes.append(len(packet))
            refused = outgoing.send(self._descriptor, sizes)
            if refused:
                self._handler.counters["udp_send_errors"] += refused
