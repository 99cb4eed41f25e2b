"""Queries over TCP: one kept connection per upstream, questions pipelined, answers in any order (RFC 7766).

For answers that do not fit into UDP and for questions whose UDP replies cannot be trusted. A connection
closes when idle or when an answer on it does not come. Never decides whom to ask or how long to wait.
"""

from __future__ import annotations

import asyncio
import errno
import secrets
from collections.abc import Callable

from filterd.errors import BadAnswer, DropPacket
from filterd.resolver.asked import NOBODY, Asked
from filterd.resolver.upstream import Upstream
from filterd.wire.answer import fits, parse_answer
from filterd.wire.framing import FrameReader, frame
from filterd.wire.query import build_query

IDLE = 10.0  # seconds an unused connection stays open
CONNECT_TIMEOUT = 3.0
STALLED = 1.0  # an answer later than this: the connection may be dead without knowing
MAX_PIPELINED = 128
MAX_WRONG = 8


class TcpStreams:
    """The connections to all upstreams.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.wrong = 0
        self.malformed = 0
        self.opened = 0
        self.clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams: dict[Upstream, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Allow connections."""
        self._loop = loop

    def close(self) -> None:
        """Close every connection; nobody is told."""
        for stream in list(self._streams.values()):
            stream.waiting.clear()
            stream.abort()
        for task in self._tasks:
            task.cancel()
        self._loop = None

    def ask(self, asked: Asked) -> None:
        """Send a query over the connection to its upstream, opening one if there is none.

        Raises:
            OSError: too many questions are waiting on it already (ENOBUFS).
        """
        if self._loop is None:
            raise OSError(errno.ENOTCONN, "not started")
        stream = self._streams.get(asked.upstream)
        if stream is None:
            stream = self._streams[asked.upstream] = self._new(asked.upstream, self._loop)
            self.opened += 1
            task = self._loop.create_task(stream.connect())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif len(stream.waiting) >= stream.room:
            raise OSError(errno.ENOBUFS, "too many queries on one connection")
        asked.sent_at = self.clock()
        stream.ask(asked)

    def ask_again(self, asked: Asked) -> None:
        """Ask over a new connection what an old one took with it when it closed (RFC 7766 section 6.2.4)."""
        try:
            self.ask(asked)
        except OSError as error:
            asked.sink.failed(asked, error)

    def forget(self, asked: Asked) -> None:
        """Stop waiting for one answer; a connection on which it is overdue is closed."""
        stream = self._streams.get(asked.upstream)
        if stream is None or stream.waiting.get(asked.message_id) is not asked:
            return
        if self.clock() - asked.sent_at > STALLED:
            del stream.waiting[asked.message_id]
            stream.abort()
        else:
            asked.sink = NOBODY  # its place stays taken until the answer is in

    def _new(self, upstream: Upstream, loop: asyncio.AbstractEventLoop) -> Stream:
        return Stream(self, upstream, loop)

    def gone(self, stream: Stream, _error: OSError) -> None:
        """A connection ended: the next question opens another."""
        if self._streams.get(stream.upstream) is stream:
            del self._streams[stream.upstream]


class Stream(asyncio.Protocol):
    """One connection to an upstream."""

    idle = IDLE

    def __init__(self, owner: TcpStreams, upstream: Upstream, loop: asyncio.AbstractEventLoop) -> None:
        self.upstream = upstream
        self.waiting: dict[int, Asked] = {}
        self._owner = owner
        self._loop = loop
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._wrong = 0
        self._ended = False
        self.heard_at = 0.0  # when the last answer came
        self.answered = False  # an upstream that closes after that was only tired of it

    @property
    def room(self) -> int:
        """How many questions may be under way on it."""
        return MAX_PIPELINED

    async def connect(self) -> None:
        """Connect; who waits hears if that fails."""
        host, port = self.upstream.sockaddr
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._open(host, port)
        except OSError as error:  # TimeoutError is one, and so is what TLS refuses
            self._end(error)

    async def _open(self, host: str, port: int) -> None:
        await self._loop.create_connection(lambda: self, host, port)

    def ask(self, asked: Asked) -> None:
        """Take a query; it is sent once there is a connection."""
        message_id = secrets.randbits(16)
        while message_id in self.waiting:
            message_id = secrets.randbits(16)
        asked.message_id = message_id
        self.waiting[message_id] = asked
        self._ask(asked)

    def _ask(self, asked: Asked) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._transport is not None:
            self._send(asked)

    def abort(self) -> None:
        """End it at once; who waits hears of it."""
        if self._transport is not None:
            self._transport.abort()
        self._end(OSError(errno.ECONNABORTED, "connection given up"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what waits."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  narrows the type; TCP always is one
        if self._ended:
            transport.abort()
            return
        self._transport = transport
        for asked in self.waiting.values():
            self._send(asked)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the upstream."""
        try:
            messages = self._reader.feed(data)
        except DropPacket:
            self._owner.malformed += 1
            self.abort()
            return
        for message in messages:
            self._take(message)
        self._rest()

    def _rest(self) -> None:
        if not self.waiting and self._idle is None and not self._ended:
            self._idle = self._loop.call_later(self.idle, self.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell those who wait."""
        self._end(exc if isinstance(exc, OSError) else OSError(errno.ECONNRESET, "closed by the upstream"))

    def _send(self, asked: Asked) -> None:
        assert self._transport is not None  # noqa: S101  only called once connected
        self._transport.write(frame(self._query(asked)))

    def _query(self, asked: Asked) -> bytes:
        return build_query(asked.message_id, asked.question, cd=asked.cd, do=asked.do)

    def _take(self, message: bytes) -> None:
        asked = self.waiting.get(int.from_bytes(message[:2], "big"))
        if asked is None or not fits(message, asked.message_id, asked.question):
            self._owner.wrong += 1
            self._wrong += 1
            if self._wrong >= MAX_WRONG:
                self.abort()
            return
        del self.waiting[asked.message_id]
        self._judge(asked, message)

    def _judge(self, asked: Asked, message: bytes) -> None:
        self.answered = True
        self.heard_at = self._owner.clock()
        try:
            answer = parse_answer(message)
        except BadAnswer:
            # A stream cannot be forged from outside: this upstream has nothing better to say.
            self._owner.malformed += 1
            asked.sink.failed(asked, OSError(errno.EBADMSG, "malformed reply"))
            return
        asked.sink.replied(asked, answer)

    def _end(self, error: OSError) -> None:
        if self._ended:
            return
        self._ended = True
        if self._idle is not None:
            self._idle.cancel()
        self._owner.gone(self, error)
        waiting, self.waiting = list(self.waiting.values()), {}
        again = self.answered and error.errno == errno.ECONNRESET
        for asked in waiting:
            if again and asked.sink is not NOBODY:
                self._owner.ask_again(asked)
            else:
                asked.sink.failed(asked, error)
