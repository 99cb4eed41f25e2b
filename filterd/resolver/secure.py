"""Queries to upstreams over DNS over TLS (RFC 7858) and DNS over HTTPS (RFC 8484).

One kept connection per upstream, queries side by side on it, each padded (RFC 8467). The certificate must be
made out to the name in the settings and signed by an authority that is trusted: there is no switch against
that. An upstream that cannot be connected to is left alone for a while that doubles. Never speaks plain DNS.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import structlog

from filterd.resolver.asked import NOBODY, Asked
from filterd.resolver.tcp import STALLED, Stream, TcpStreams
from filterd.resolver.upstream import Upstream
from filterd.wire.answer import fits
from filterd.wire.constants import MAX_MESSAGE
from filterd.wire.padding import padded_query
from filterd.wire.query import build_query

log = structlog.get_logger(__name__)

IDLE = 60.0  # seconds; most public resolvers close sooner by themselves
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0  # between two tries to connect
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2 what 1.3 has too (RFC 9325 section 4.2)
_MEDIA_TYPE = b"application/dns-message"


class SecureStreams(TcpStreams):
    """The connections to all encrypted upstreams.

    Args:
        clock: monotonic seconds.
        ca_file: PEM file of the authorities that are trusted; None: the system's.
        transports: that upstreams use, ``tls`` or ``https``.
    """

    def __init__(self, clock: Callable[[], float], ca_file: str | None, transports: frozenset[str]) -> None:
        super().__init__(clock)
        self.unverified = 0  # connections given up because of the certificate
        self.unreachable = 0  # connections that did not come about, those included
        self._ca_file = ca_file
        self._transports = transports
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._paused: dict[Upstream, tuple[float, float]] = {}  # until when, and for how long

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Allow connections; reads the authorities' certificates.

        Raises:
            OSError: the file of authorities cannot be read, or holds none.
        """
        super().open(loop)
        for transport in self._transports:
            context = self._contexts[transport] = client_context(self._ca_file)
            context.set_alpn_protocols(["h2"] if transport == "https" else ["dot"])

    def ask(self, asked: Asked) -> None:
        """Send a query, as `TcpStreams.ask` does.

        Raises:
            OSError: as there, or the upstream could not be connected to a moment ago.
        """
        until, _ = self._paused.get(asked.upstream, (0.0, 0.0))
        if self.clock() < until:
            raise OSError(errno.EHOSTDOWN, "not connected to again yet")
        super().ask(asked)

    def forget(self, asked: Asked) -> None:
        """Stop waiting for one answer: a slow name costs the others nothing, a silent connection ends."""
        stream = self._streams.get(asked.upstream)
        if stream is None or stream.waiting.get(asked.message_id) is not asked:
            return
        asked.sink = NOBODY
        if self.clock() - asked.sent_at <= STALLED:
            return
        unwanted = sum(one.sink is NOBODY for one in stream.waiting.values())
        if stream.heard_at < asked.sent_at or unwanted > stream.room // 2:
            stream.abort()

    def gone(self, stream: Stream, error: OSError) -> None:
        """Leave alone for a while an upstream that could not be connected to."""
        super().gone(stream, error)
        upstream = stream.upstream
        if stream.answered:
            self._paused.pop(upstream, None)
            return
        self.unreachable += 1
        _, pause = self._paused.get(upstream, (0.0, FIRST_PAUSE / 2))
        pause = min(2 * pause, LONGEST_PAUSE)
        self._paused[upstream] = self.clock() + pause, pause
        if isinstance(error, ssl.SSLCertVerificationError):
            self.unverified += 1
            log.error("upstream_not_verified", upstream=str(upstream.address), why=error.verify_message)

    def context(self, transport: str) -> ssl.SSLContext:
        """Return the context of a transport."""
        return self._contexts[transport]

    def _new(self, upstream: Upstream, loop: asyncio.AbstractEventLoop) -> Stream:
        kind = HttpsStream if upstream.address.transport == "https" else TlsStream
        return kind(self, upstream, loop)


def client_context(ca_file: str | None) -> ssl.SSLContext:
    """Return a context that verifies certificate and name.

    Raises:
        OSError: the file of authorities cannot be read, or holds none.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    return context


class TlsStream(Stream):
    """One connection by DNS over TLS."""

    idle = IDLE
    _owner: SecureStreams

    async def _open(self, host: str, port: int) -> None:
        address = self.upstream.address
        context = self._owner.context(address.transport)
        await self._loop.create_connection(
            lambda: self, host, port, ssl=context, server_hostname=address.name
        )

    def _query(self, asked: Asked) -> bytes:
        return padded_query(super()._query(asked))


class HttpsStream(TlsStream):
    """One connection by DNS over HTTPS, HTTP/2 alone: the version that browsers and resolvers agree on.

    The message id is 0 (RFC 8484 section 4.1): the stream tells answers apart, and `waiting` goes by it.
    """

    def __init__(self, owner: SecureStreams, upstream: Upstream, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(owner, upstream, loop)
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self._bodies: dict[int, bytearray] = {}
        self._next = 1

    @property
    def room(self) -> int:
        """How many questions may be under way: what servers should allow (RFC 9113 section 6.5.2)."""
        return 100

    def ask(self, asked: Asked) -> None:
        """Take a query; it is sent once there is a connection."""
        # `waiting` is looked into by message_id: until it is sent, that is the number of its stream to be.
        asked.message_id = self._next
        self._next += 2
        self.waiting[asked.message_id] = asked
        self._ask(asked)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, and send what waits."""
        chosen = transport.get_extra_info("ssl_object")
        if chosen is not None and chosen.selected_alpn_protocol() != "h2":
            self._transport = transport  # type: ignore[assignment]  # TCP always is one
            self.abort()
            return
        self._http.initiate_connection()
        super().connection_made(transport)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the upstream."""
        try:
            for event in self._http.receive_data(data):
                self._on(event)
        except h2.exceptions.ProtocolError:
            self._owner.malformed += 1
            self.abort()
            return
        self._flush()
        self._rest()

    def _send(self, asked: Asked) -> None:
        query = padded_query(build_query(0, asked.question, cd=asked.cd, do=asked.do))
        address = self.upstream.address
        authority = address.name if address.port == 443 else f"{address.name}:{address.port}"
        headers = [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", authority.encode()),
            (b":path", address.path.encode()),
            (b"accept", _MEDIA_TYPE),
            (b"content-type", _MEDIA_TYPE),
            (b"content-length", str(len(query)).encode()),
        ]
        try:
            self._http.send_headers(asked.message_id, headers)
            self._http.send_data(asked.message_id, query, end_stream=True)
        except h2.exceptions.ProtocolError:  # no stream left, or no window: another connection has both
            self._loop.call_soon(self.abort)
            return
        self._flush()

    def _on(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                self._on_response(event)
            case h2.events.DataReceived():
                self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                body = self._bodies.get(event.stream_id)
                if body is not None:
                    body += event.data
                    if len(body) > MAX_MESSAGE:
                        self._refuse(event.stream_id)
            case h2.events.StreamEnded():
                self._on_end(event.stream_id)
            case h2.events.StreamReset():
                self._refuse(event.stream_id)
            case h2.events.ConnectionTerminated():
                self._end(ConnectionResetError(errno.ECONNRESET, "closed by the upstream"))
                if self._transport is not None:
                    self._transport.abort()
            case _:
                pass

    def _on_response(self, event: h2.events.ResponseReceived) -> None:
        found = {bytes(name): bytes(value) for name, value in event.headers}
        kind = found.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if found.get(b":status") == b"200" and kind == _MEDIA_TYPE:
            self._bodies[event.stream_id] = bytearray()
        else:
            self._refuse(event.stream_id)

    def _on_end(self, stream: int) -> None:
        asked, body = self.waiting.pop(stream, None), self._bodies.pop(stream, None)
        if asked is None or body is None:
            return
        message = bytes(body)
        if fits(message, 0, asked.question):
            self._judge(asked, message)
            return
        self._owner.wrong += 1
        asked.sink.failed(asked, OSError(errno.EBADMSG, "reply to another question"))

    def _refuse(self, stream: int) -> None:
        """Give up one question: the HTTP answer is none to it."""
        self._bodies.pop(stream, None)
        asked = self.waiting.pop(stream, None)
        if asked is not None:
            self._owner.malformed += 1
            asked.sink.failed(asked, OSError(errno.EBADMSG, "no DNS message in the answer"))

    def _flush(self) -> None:
        data = self._http.data_to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
