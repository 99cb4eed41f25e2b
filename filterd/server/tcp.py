"""DNS over a stream, plain (RFC 7766) or encrypted (RFC 7858): pipelining, answers out of order, limits.

A slow or greedy client costs itself its connection and nobody else anything.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import cast

import structlog

from filterd.errors import WireError
from filterd.resolver.request import Request
from filterd.server.clients import Client, Clients
from filterd.server.handler import Handler
from filterd.server.settings import TcpLimits
from filterd.server.streams import StreamListener
from filterd.wire.framing import FrameReader, frame
from filterd.wire.padding import padded_if_asked

log = structlog.get_logger(__name__)


class TcpListener(StreamListener):
    """Plain DNS over TCP."""

    def __init__(self, handler: Handler, clients: Clients, limits: TcpLimits) -> None:
        super().__init__(handler, clients, limits, "tcp", lambda: TcpConnection(self))


class DnsStream(asyncio.Protocol):
    """DNS messages on one stream of an admitted client, plain or encrypted.

    Args:
        listener: whose limits, name and counters hold.
        client: who is at the other end; a subclass may learn that later.
    """

    def __init__(self, listener: StreamListener, client: Client | None) -> None:
        self._listener = listener
        self._limits = listener.limits
        self._handler = listener.handler
        self._encrypted = listener.name != "tcp"
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._client = client
        self._waiting: deque[bytes] = deque()  # read, and not begun: what one read brought at most
        self._outstanding = 0
        self._queries = 0
        self._taking = False
        self._closing = False
        self._writable = True
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to watch the clock."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._limits.write_buffer)
        self._arm(self._limits.idle)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Drop answers still on their way."""
        self._closing = True
        self._waiting.clear()
        self._disarm()

    def data_received(self, data: bytes) -> None:
        """Take whatever arrived: a part of a message, or several."""
        if self._closing or self._client is None:
            return
        try:
            self._waiting += self._reader.feed(data)
        except WireError:
            self._listener.count("malformed")
            self.shut()
            return
        self._take()

    def eof_received(self) -> bool:
        """Half-close: answer what was asked, then close (RFC 7766 section 6.2.4)."""
        self.shut()
        return True

    def pause_writing(self) -> None:
        """Stop reading a client that does not read."""
        self._writable = False
        self._pace()

    def resume_writing(self) -> None:
        """Read on: the client has read."""
        self._writable = True
        self._take()

    def shut(self) -> None:
        """Read no more; close when what was read is answered."""
        self._closing = True
        self._take()

    def _take(self) -> None:
        """Begin what was read, as much at once as the limits allow; a segment may hold a thousand queries."""
        client = self._client
        if client is None or self._taking:
            return
        self._taking = True  # an answer that is there at once comes back here
        while self._waiting and self._writable and self._outstanding < self._limits.pipelined:
            if not self._serve(self._waiting.popleft(), client):
                self._waiting.clear()
                self._closing = True
        self._taking = False
        if self._closing and not self._waiting and self._outstanding == 0 and self._transport is not None:
            self._transport.close()
        else:
            self._pace()

    def _serve(self, message: bytes, client: Client) -> bool:
        """Answer one message; return whether the connection goes on."""
        self._queries += 1
        try:
            answer = self._handler.handle(message, client, self._listener.name)
        except Exception:  # one bad message never ends the loop; counted and logged with its trace
            self._handler.counters["handler_errors"] += 1
            log.exception("message_failed", size=len(message))
            return False
        if answer is None:  # not a query: nothing good follows on this connection
            return False
        self._outstanding += 1
        send = partial(self._send_padded, message) if self._encrypted else self._send
        if isinstance(answer, Request):
            self._handler.finish(answer, client, send)
        else:
            send(answer)
        if self._queries < self._limits.queries_per_connection:
            return True
        self._listener.count("query_limit")
        return False

    def _send_padded(self, query: bytes, packet: bytes) -> None:
        self._send(padded_if_asked(query, packet))

    def _send(self, packet: bytes) -> None:
        self._outstanding -= 1
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(frame(packet))
        self._take()

    def _pace(self) -> None:
        """Read only while there is room for answers, and watch the clock that fits the state."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        room = self._writable and not self._waiting and self._outstanding < self._limits.pipelined
        if room and not self._closing:
            transport.resume_reading()
        else:
            transport.pause_reading()
        if not self._writable or self._reader.pending:
            self._arm(self._limits.message_deadline, keep=True)
        else:
            self._arm(self._limits.idle)

    def _arm(self, seconds: float, *, keep: bool = False) -> None:
        # A deadline for a message must not be pushed back by each dribbled byte: an earlier one is kept.
        due = self._loop.time() + seconds
        if keep and self._timer is not None and self._timer.when() <= due:
            return
        self._disarm()
        self._timer = self._loop.call_at(due, self._expired)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expired(self) -> None:
        self._timer = None
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._writable and not self._reader.pending and self._outstanding:
            self._arm(self._limits.idle)  # the client waits for us, not we for it
            return
        self._listener.count("idle_closed")
        if self._writable:
            transport.close()
        else:
            transport.abort()  # it will not read what is buffered


class TcpConnection(DnsStream):
    """One client connection over plain TCP."""

    def __init__(self, listener: StreamListener) -> None:
        super().__init__(listener, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection or close it at once."""
        self._client = self._listener.admit(self, transport)
        if self._client is None:
            cast("asyncio.Transport", transport).abort()
            return
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give back the client's place."""
        super().connection_lost(exc)
        if self._client is not None:
            self._listener.leave(self, self._client)
