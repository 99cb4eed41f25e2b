"""What every stream transport shares: who is let in, how many at once, and the end (RFC 7766 section 6).

`tcp` carries DNS messages on it, `tls` the same behind a handshake, `http1` and `http2` requests. Each
transport has its own total, so that a flood on one leaves the others room; a client's connections count
together. Never reads or writes.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from time import monotonic
from typing import Literal, Protocol

from filterd.server.clients import Client, Clients
from filterd.server.handler import Handler
from filterd.server.settings import TcpLimits

StreamName = Literal["tcp", "dot", "doh"]


class Connection(Protocol):
    """One connection, as its listener sees it."""

    def shut(self) -> None:
        """Read no more; close when what was read is answered."""


class StreamListener:
    """Accepts connections of one transport on bound sockets until :meth:`stop_accepting`.

    Args:
        handler: answers the messages.
        clients: knows who is permitted.
        limits: of each connection and of all.
        name: of the transport, for the handler and the counters.
        make: makes the protocol of a new connection.
    """

    def __init__(
        self,
        handler: Handler,
        clients: Clients,
        limits: TcpLimits,
        name: StreamName,
        make: Callable[[], asyncio.Protocol],
    ) -> None:
        self.handler = handler
        self.clients = clients
        self.limits = limits
        self.name: StreamName = name
        self.connections: set[Connection] = set()
        self._make = make
        self._servers: list[asyncio.Server] = []

    async def start(self, sock: socket.socket) -> None:
        """Serve the listening socket ``sock`` as well."""
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(self._make, sock=sock))

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

    def count(self, what: str) -> None:
        """Count something that happened on this transport."""
        self.handler.counters[f"{self.name}_{what}"] += 1

    def admit(self, connection: Connection, transport: asyncio.BaseTransport) -> Client | None:
        """Let a new connection in and return its client; None: too many, it is to be closed at once.

        Only the address of the socket counts, never what a client says about itself (RFC 5358).
        """
        peer = transport.get_extra_info("peername")
        client = self.clients.get(peer[0], monotonic()) if peer else None
        if (
            client is None
            or len(self.connections) >= self.limits.connections
            or client.connections >= self.limits.connections_per_client
        ):
            self.count("connections_refused")
            return None
        client.connections += 1
        self.connections.add(connection)
        self.count("connections")
        return client

    def leave(self, connection: Connection, client: Client) -> None:
        """Give back the place of an admitted connection."""
        client.connections -= 1
        self.connections.discard(connection)
