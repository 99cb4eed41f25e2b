"""DNS over TCP (RFC 7766): pipelining, answers out of order, limits on time, number and memory.

A slow or greedy client costs itself its connection and nobody else anything.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from time import monotonic
from typing import cast

import structlog

from filterd.errors import WireError
from filterd.resolver.request import Request
from filterd.server.clients import Client, Clients
from filterd.server.handler import Handler
from filterd.server.settings import TcpLimits
from filterd.wire.framing import FrameReader, frame

log = structlog.get_logger(__name__)


class TcpListener:
    """Accepts connections on bound TCP sockets until :meth:`stop_accepting`."""

    def __init__(self, handler: Handler, clients: Clients, limits: TcpLimits) -> None:
        self.handler = handler
        self.clients = clients
        self.limits = limits
        self.connections: set[TcpConnection] = set()
        self._servers: list[asyncio.Server] = []

    async def start(self, sock: socket.socket) -> None:
        """Serve the listening socket ``sock`` as well."""
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(lambda: TcpConnection(self), sock=sock))

    def stop_accepting(self) -> None:
        """Leave new connections to whoever else has the sockets; those that are open go on."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    async def close(self) -> None:
        """Stop accepting and close every connection after what it has already been sent."""
        self.stop_accepting()
        for connection in tuple(self.connections):
            connection.shut()
        await asyncio.sleep(0)


class TcpConnection(asyncio.Protocol):
    """One client connection."""

    def __init__(self, listener: TcpListener) -> None:
        self._listener = listener
        self._limits = listener.limits
        self._handler = listener.handler
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._client: Client | None = None
        self._waiting: deque[bytes] = deque()  # read, and not begun: what one read brought at most
        self._outstanding = 0
        self._queries = 0
        self._taking = False
        self._closing = False
        self._writable = True
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection or close it at once (limits, ACL)."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._limits.write_buffer)
        peer = transport.get_extra_info("peername")
        listener = self._listener
        client = listener.clients.get(peer[0], monotonic()) if peer else None
        if (
            client is None
            or len(listener.connections) >= self._limits.connections
            or client.connections >= self._limits.connections_per_client
        ):
            self._handler.counters["tcp_connections_refused"] += 1
            self._transport.abort()
            return
        self._client = client
        client.connections += 1
        listener.connections.add(self)
        self._handler.counters["tcp_connections"] += 1
        self._arm(self._limits.idle)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Give back the client's place; answers still on their way are dropped."""
        self._closing = True
        self._waiting.clear()
        self._disarm()
        if self._client is not None:
            self._client.connections -= 1
            self._listener.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Take whatever arrived: a part of a message, or several."""
        if self._closing or self._client is None:
            return
        try:
            self._waiting += self._reader.feed(data)
        except WireError:
            self._handler.counters["tcp_malformed"] += 1
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
            answer = self._handler.handle(message, client, "tcp")
        except Exception:  # one bad message never ends the loop; counted and logged with its trace
            self._handler.counters["handler_errors"] += 1
            log.exception("message_failed", size=len(message))
            return False
        if answer is None:  # not a query: nothing good follows on this connection
            return False
        self._outstanding += 1
        if isinstance(answer, Request):
            self._handler.finish(answer, client, self._send)
        else:
            self._send(answer)
        if self._queries < self._limits.queries_per_connection:
            return True
        self._handler.counters["tcp_query_limit"] += 1
        return False

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
        self._handler.counters["tcp_idle_closed"] += 1
        if self._writable:
            transport.close()
        else:
            transport.abort()  # it will not read what is buffered
