"""One query of ours that is under way, and what may become of it.

Values and the shape of the callbacks only; the transports (udp.py, tcp.py) carry it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from filterd.resolver.upstream import Upstream
from filterd.wire.answer import Answer

if TYPE_CHECKING:
    from filterd.resolver.udp import Port

STREAM_RTO = 0.5  # seconds


class Asked:
    """A query sent to one upstream over one transport.

    Args:
        upstream: whom.
        sink: who wants to know.
        question: question section as sent, its case mixed over UDP.
        cd: the CD bit to send.
        do: the DO bit to send.
        stream: over TCP.
    """

    __slots__ = (
        "cd",
        "charged",
        "do",
        "message_id",
        "port",
        "question",
        "rto",
        "sent_at",
        "sink",
        "stream",
        "upstream",
        "waiting",
        "wrong",
    )

    def __init__(
        self, upstream: Upstream, sink: Sink, question: bytes, *, cd: bool, do: bool, stream: bool = False
    ) -> None:
        self.upstream = upstream
        self.sink = sink
        self.question = question
        self.cd = cd
        self.do = do
        self.stream = stream
        self.message_id = 0
        self.sent_at = 0.0
        # A stream has to be opened first: that takes more than one round trip.
        self.rto = max(3 * upstream.rto, STREAM_RTO) if stream else upstream.rto
        self.wrong = 0  # replies that did not fit
        self.charged = False  # counted as lost already
        self.waiting = False  # over UDP: not answered, not forgotten
        self.port: Port | None = None  # over UDP: where from; None while it has not left


class Sink(Protocol):
    """What a transport tells the one who asked; a query ends with exactly one of these, or is forgotten."""

    def replied(self, asked: Asked, answer: Answer) -> None:
        """A well-formed reply came that fits the query."""

    def failed(self, asked: Asked, error: OSError) -> None:
        """The query cannot be answered over this transport: refused port, reset, closed stream."""

    def doubted(self, asked: Asked) -> None:
        """Replies came that look forged, or lost the mixed case: only a stream can be trusted now."""


class _Nobody:
    """The sink of a query whose answer is no longer wanted."""

    def replied(self, asked: Asked, answer: Answer) -> None:
        pass

    def failed(self, asked: Asked, error: OSError) -> None:
        pass

    def doubted(self, asked: Asked) -> None:
        pass


NOBODY: Sink = _Nobody()
