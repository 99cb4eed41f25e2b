"""TLS between a socket and a protocol that knows nothing of it (RFC 8446, RFC 5246), by Python's ssl.

Asyncio's own TLS server calls the protocol only after the handshake and holds 256 KB for every connection.
Here a connection counts from its first packet, strangers and floods are turned away before they cost a
signature, a handshake has a deadline, and a connection holds what it needs. Never looks into what is carried.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from time import monotonic
from typing import Any, cast

from filterd.server.clients import Client
from filterd.server.streams import Connection, StreamListener

READ_SIZE = 4096  # bytes a turn of the loop: some fifty requests by HTTP/2
HANDSHAKE_COST = 20  # tokens of the client's bucket: a signature takes as long as some twenty lookups


class Stream(Connection):
    """What runs over an encrypted connection: an asyncio protocol that can be shut."""


class TlsConnection(asyncio.Protocol):
    """One accepted connection.

    Args:
        listener: whose limits and counters hold.
        context: returns the context with the certificate in force.
        make: makes the protocol above, once the handshake is done, from what ALPN chose ("" if nothing).
    """

    def __init__(
        self,
        listener: StreamListener,
        context: Callable[[], ssl.SSLContext],
        make: Callable[[Client, str], asyncio.Protocol],
    ) -> None:
        self._listener = listener
        self._context = context
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._client: Client | None = None
        self._transport: asyncio.Transport | None = None
        self._upper: asyncio.Protocol | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._reading = True
        self._eof = False  # the client sends no more, but some of it may still have to be read
        self._ended = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit the connection and begin the handshake, or close it at once (limits, ACL)."""
        self._transport = cast("asyncio.Transport", transport)
        self._client = self._listener.admit(self, transport)
        if self._client is None or not self._may_shake_hands(self._client):
            self._transport.abort()
            return
        self._tls = self._context().wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._deadline = self._loop.call_later(self._listener.limits.handshake_deadline, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the protocol above, and give back the client's place."""
        self._stop_deadline()
        if self._upper is not None:
            self._upper.connection_lost(exc)
            self._upper = None
        if self._client is not None:
            self._listener.leave(self, self._client)
            self._client = None
        self._tls = None

    def data_received(self, data: bytes) -> None:
        """Take encrypted bytes."""
        if self._tls is None:
            return
        self._incoming.write(data)
        if self._upper is None:
            self._shake_hands(self._tls)
        if self._upper is not None:
            self._read()

    def eof_received(self) -> bool:
        """The client closed its side without saying so in TLS: answer what was asked all the same."""
        if self._upper is None:
            return False
        self._eof = True
        self._read()
        return True

    def pause_writing(self) -> None:
        """Tell the protocol above that the client does not read."""
        if self._upper is not None:
            self._upper.pause_writing()

    def resume_writing(self) -> None:
        """Tell it that the client does again."""
        if self._upper is not None:
            self._upper.resume_writing()

    # What the listener and the transport of the protocol above call.

    def shut(self) -> None:
        """Read no more; close when what was read is answered."""
        if self._upper is not None:
            cast("Stream", self._upper).shut()
        elif self._transport is not None:
            self._transport.abort()

    def write(self, data: bytes) -> None:
        """Send bytes of the protocol above."""
        if self._tls is None or self._transport is None or self._transport.is_closing():
            return
        try:
            self._tls.write(data)
        except ssl.SSLError:
            self._broken()
            return
        self._flush()

    def set_reading(self, *, wanted: bool) -> None:
        """Stop or go on reading."""
        if self._transport is None or self._transport.is_closing() or wanted is self._reading:
            return
        self._reading = wanted
        if wanted:
            self._transport.resume_reading()
            self._loop.call_soon(self._read)  # what came before the pause is here already
        else:
            self._transport.pause_reading()

    def close(self) -> None:
        """Say good-bye in TLS and close once everything is sent."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._tls is not None:
            with contextlib.suppress(ssl.SSLError):  # it would wait for the client's good-bye: we do not
                self._tls.unwrap()
            self._flush()
        self._transport.close()

    # The work.

    def _may_shake_hands(self, client: Client) -> bool:
        if not client.permitted:
            self._listener.handler.counters["refused_acl"] += 1
            return False
        rate = self._listener.handler.rate
        if rate.per_second and not client.bucket.take(rate, monotonic(), HANDSHAKE_COST):
            self._listener.count("handshakes_refused")
            return False
        return True

    def _shake_hands(self, tls: ssl.SSLObject) -> None:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError:
            self._listener.count("handshakes_failed")
            self._broken()
            return
        self._stop_deadline()
        self._flush()
        transport, client = self._transport, self._client
        if transport is None or client is None:
            return
        self._upper = self._make(client, tls.selected_alpn_protocol() or "")
        self._upper.connection_made(TlsTransport(self, transport))

    def _read(self) -> None:
        """Hand up what one read brings, and leave the rest for another turn: UDP must not wait for it."""
        tls, upper, transport = self._tls, self._upper, self._transport
        if tls is None or upper is None or transport is None or transport.is_closing():
            return
        if self._ended or not self._reading:
            return
        try:
            data = tls.read(READ_SIZE)
        except ssl.SSLWantReadError:
            data = None
        except ssl.SSLZeroReturnError:
            data = b""
        except ssl.SSLError:
            self._listener.count("malformed")
            self._broken()
            return
        if data:
            upper.data_received(data)
            if self._incoming.pending or tls.pending():
                self._loop.call_soon(self._read)
            elif self._eof:
                self._end_of_input()
        elif data is not None or self._eof:
            self._end_of_input()
        self._flush()  # TLS has answers of its own, to a change of keys for one

    def _end_of_input(self) -> None:
        if not self._ended and self._upper is not None:
            self._ended = True
            self._upper.eof_received()

    def _flush(self) -> None:
        if self._outgoing.pending and self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._outgoing.read())

    def _broken(self) -> None:
        """Send the alert that says why, and end."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _too_slow(self) -> None:
        self._deadline = None
        self._listener.count("handshakes_failed")
        if self._transport is not None:
            self._transport.abort()

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class TlsTransport(asyncio.Transport):
    """The transport that the protocol above sees."""

    def __init__(self, connection: TlsConnection, transport: asyncio.Transport) -> None:
        super().__init__()
        self._connection = connection
        self._transport = transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the socket's transport knows."""
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Return whether the connection is closing or closed."""
        return self._transport.is_closing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes."""
        self._connection.write(bytes(data))

    def pause_reading(self) -> None:
        """Stop reading."""
        self._connection.set_reading(wanted=False)

    def resume_reading(self) -> None:
        """Go on reading."""
        self._connection.set_reading(wanted=True)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Say when to be told that the client does not read."""
        self._transport.set_write_buffer_limits(high, low)

    def close(self) -> None:
        """Close once everything is sent."""
        self._connection.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()
