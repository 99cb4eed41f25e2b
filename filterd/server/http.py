"""What both versions of HTTP share on a connection: clock, limits, the way from a request to the handler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache, partial
from time import time
from typing import cast

import structlog

from filterd.resolver.request import Request
from filterd.server.clients import Client
from filterd.server.streams import StreamListener
from filterd.wire.padding import padded_if_asked

log = structlog.get_logger(__name__)


def date_header() -> tuple[bytes, bytes]:
    """Return the Date field, which a server with a clock owes (RFC 9110 section 6.6.1)."""
    return b"date", _date(int(time()))


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()


class HttpConnection(asyncio.Protocol):
    """One connection of an admitted client, above TLS.

    Args:
        listener: whose limits, name and counters hold.
        client: who is at the other end.
        path: the one that is served.
    """

    def __init__(self, listener: StreamListener, client: Client, path: bytes) -> None:
        self._listener = listener
        self._limits = listener.limits
        self._handler = listener.handler
        self._client = client
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._requests = 0
        self._writable = True
        self._closing = False

    # Of each version.

    def _begin(self) -> None:
        """Send what a server says first."""

    def _take(self, data: bytes) -> None:
        """Take bytes from the client."""
        raise NotImplementedError

    def _busy(self) -> bool:
        """Whether the client waits for us."""
        raise NotImplementedError

    def _owed(self) -> bool:
        """Whether the client owes us the rest of a request, or reading what we sent."""
        raise NotImplementedError

    def _good_bye(self) -> None:
        """Say that the connection ends, everything being answered."""

    # What runs under both.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=self._limits.write_buffer)
        self._begin()
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Drop what is still on its way."""
        self._closing = True
        self._transport = None
        self._disarm()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self._transport is None or self._transport.is_closing():
            return
        self._take(data)
        self._settle()

    def eof_received(self) -> bool:
        """The client sends no more: answer what it asked, then close."""
        self.shut()
        return True

    def pause_writing(self) -> None:
        """Stop reading a client that does not read."""
        self._writable = False
        if self._transport is not None:
            self._transport.pause_reading()
        self._arm(keep=True)

    def resume_writing(self) -> None:
        """Read on: the client has read."""
        self._writable = True
        if self._transport is not None:
            self._transport.resume_reading()
        self._settle()

    def shut(self) -> None:
        """Take no further request; close when those taken are answered."""
        self._closing = True
        self._settle()

    def _serve(self, message: bytes, answered: Callable[[bytes | None], None]) -> None:
        """Let the handler answer a message; ``answered`` gets the reply, None if it is no query."""
        try:
            answer = self._handler.handle(message, self._client, "doh")
        except Exception:  # one bad message never ends the loop; counted and logged with its trace
            self._handler.counters["handler_errors"] += 1
            log.exception("message_failed", size=len(message))
            answer = None
        if isinstance(answer, Request):
            self._handler.finish(answer, self._client, partial(self._padded, message, answered))
        elif answer is None:
            answered(None)
        else:
            self._padded(message, answered, answer)

    def _padded(self, message: bytes, answered: Callable[[bytes | None], None], reply: bytes) -> None:
        if self._transport is not None:
            answered(padded_if_asked(message, reply))
            self._settle()

    def _note_request(self) -> None:
        self._requests += 1
        if self._requests >= self._limits.queries_per_connection and not self._closing:
            self._listener.count("query_limit")
            self.shut()

    def _settle(self) -> None:
        """Close what is done, and watch the clock that fits the state."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._closing and not self._busy() and not self._owed():
            self._good_bye()
            self._transport.close()
            return
        self._arm(keep=self._owed() or not self._writable)

    def _arm(self, *, keep: bool = False) -> None:
        # A deadline for the rest of a request must not be pushed back by each dribbled byte.
        due = self._loop.time() + (self._limits.message_deadline if keep else self._limits.idle)
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
        if self._transport is None or self._transport.is_closing():
            return
        if self._writable and not self._owed() and self._busy():
            self._arm()  # the client waits for us, not we for it
            return
        self._listener.count("idle_closed")
        if self._owed() or not self._writable:
            self._transport.abort()  # it does not read, or does not send what it announced
        else:
            self._good_bye()
            self._transport.close()

    def _cut(self) -> None:
        """End a connection that breaks the protocol, after the words that say so."""
        self._listener.count("malformed")
        self._closing = True
        if self._transport is not None:
            self._transport.close()
