"""The listeners of encrypted DNS, DoT and DoH, put together: certificate, TLS, and what runs above it.

They answer by the same handler as UDP and TCP: policy, special names and records are one for all transports.
Never decides anything.
"""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from time import time

import structlog

from filterd.server.certificate import LOOK, CertificateKeeper
from filterd.server.clients import Client, Clients
from filterd.server.handler import Handler
from filterd.server.http1 import Http1Connection
from filterd.server.http2 import Http2Connection
from filterd.server.settings import Encrypted
from filterd.server.streams import StreamListener
from filterd.server.tcp import DnsStream
from filterd.server.tls import TlsConnection

log = structlog.get_logger(__name__)

# RFC 7858 needs no ALPN, but who offers "dot" (RFC 9461 section 5) hears it confirmed.
ALPN = {"dot": ("dot",), "doh": ("h2", "http/1.1")}
COUNTED = (
    "connections",
    "connections_refused",
    "handshakes_refused",
    "handshakes_failed",
    "malformed",
    "query_limit",
    "idle_closed",
)


class EncryptedListeners:
    """DoT and DoH on bound sockets until :meth:`close`.

    Args:
        settings: certificate, name and limits.
        handler: answers the messages.
        clients: knows who is permitted.

    Raises:
        CertificateError: the certificate cannot be used.
    """

    def __init__(self, settings: Encrypted, handler: Handler, clients: Clients) -> None:
        self.keeper = CertificateKeeper(
            Path(settings.certificate), Path(settings.key), settings.name, ALPN, handler.counters
        )
        if wrong := self.keeper.certificate.wrong_at(time()):
            # The clock of a box without a battery may be what is wrong, and plain DNS has to go on anyway.
            log.error("certificate_not_valid_now", error=wrong)
        self._path = settings.path.encode()
        self._dot = StreamListener(handler, clients, settings.limits, "dot", self._dot_connection)
        self._doh = StreamListener(handler, clients, settings.limits, "doh", self._doh_connection)
        for listener in (self._dot, self._doh):
            for what in COUNTED:
                handler.counters[f"{listener.name}_{what}"] += (
                    0  # told from the start, not from the first one
                )

    async def start(self, dot: list[socket.socket], doh: list[socket.socket]) -> None:
        """Serve on listening sockets."""
        for listener, socks in ((self._dot, dot), (self._doh, doh)):
            for sock in socks:
                await listener.start(sock)

    def stop_accepting(self) -> None:
        """Leave new connections to whoever else has the sockets."""
        self._dot.stop_accepting()
        self._doh.stop_accepting()

    async def close(self) -> None:
        """Close every connection after what it has already been sent."""
        await self._dot.close()
        await self._doh.close()

    async def watch(self) -> None:
        """Look at the certificate's files for ever: who renews them need not tell us."""
        while True:
            await asyncio.sleep(LOOK)
            await self.refresh()

    async def refresh(self) -> None:
        """Look at the certificate's files now."""
        try:
            await asyncio.to_thread(self.keeper.refresh, time())
        except Exception:  # what is in force stays; the next look may succeed
            log.exception("certificate_not_looked_at")

    def health(self) -> dict[str, float]:
        """Return what is told beside the handler's counters."""
        return {
            "certificate_expires": self.keeper.certificate.expires,
            "dot_open": float(len(self._dot.connections)),
            "doh_open": float(len(self._doh.connections)),
        }

    def _dot_connection(self) -> asyncio.Protocol:
        return TlsConnection(self._dot, lambda: self.keeper.context("dot"), self._above_dot)

    def _doh_connection(self) -> asyncio.Protocol:
        return TlsConnection(self._doh, lambda: self.keeper.context("doh"), self._above_doh)

    def _above_dot(self, client: Client, _alpn: str) -> asyncio.Protocol:
        return DnsStream(self._dot, client)

    def _above_doh(self, client: Client, alpn: str) -> asyncio.Protocol:
        kind = Http2Connection if alpn == "h2" else Http1Connection
        return kind(self._doh, client, self._path)
