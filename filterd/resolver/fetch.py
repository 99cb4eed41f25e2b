"""One question on its way to the upstreams: whom to ask next, when, and which answer is final.

The fastest upstream is asked first; if it does not answer in its usual time, the next is asked as well
(hedging), round and round, at most three times each and transport (RFC 9520 section 3.1). Earlier tries
stay open, so a slow link still gets its answer. Never touches the cache or the policy.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

import structlog

from filterd.resolver.asked import Asked
from filterd.resolver.cache import Key
from filterd.resolver.upstream import Upstream
from filterd.resolver.wheel import Deadline
from filterd.wire.answer import Answer, extended_errors
from filterd.wire.constants import Rcode

if TYPE_CHECKING:
    from filterd.resolver.forward import Forwarder

log = structlog.get_logger(__name__)

MAX_TRIES = 3  # per upstream and transport
SAME_AGAIN = 0.4  # seconds at least before the same upstream is asked again: it may be busy with this name
LONGEST_WAIT = 1.0  # seconds between two tries

_FINAL = frozenset((Rcode.NOERROR, Rcode.NXDOMAIN, Rcode.YXDOMAIN))
_DNSSEC = frozenset(
    (1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 27)
)  # extended errors of validation (RFC 8914 section 4)
_LOCAL_ERRORS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL))


class Fetched(NamedTuple):
    """How a fetch ended.

    Args:
        answer: the answer, or the failure an upstream stands by (SERVFAIL, REFUSED ...); None without any.
        error: "" with a usable answer; ``rcode``: the upstreams failed it; ``bogus``: one says that
            validation failed; ``timeout``; ``network``: it could not even be asked; ``down``: known to be
            silent, not asked; ``local``: no socket left here.
    """

    answer: Answer | None
    error: Literal["", "rcode", "bogus", "timeout", "network", "down", "local"] = ""


class _Tries:
    __slots__ = ("out", "stream", "tcp", "udp", "upstream")

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.udp = 0
        self.tcp = 0
        self.stream = upstream.secure  # UDP will not do: never for this upstream, or not for this question
        self.out = False  # gave its answer, or cannot be reached

    @property
    def left(self) -> bool:
        return not self.out and (self.tcp if self.stream else self.udp) < MAX_TRIES


class Fetch:
    """The state of one question under way; a `Sink` of its tries.

    Args:
        forwarder: transports, clock and loop.
        key: the question.
        upstreams: whom to ask, best first; none of them down.
        done: called once with the end of it.
    """

    __slots__ = (
        "_done",
        "_failure",
        "_forwarder",
        "_key",
        "_networks",
        "_open",
        "_started",
        "_timer",
        "_tries",
    )

    def __init__(
        self, forwarder: Forwarder, key: Key, upstreams: list[Upstream], done: Callable[[Fetched], None]
    ) -> None:
        self._forwarder = forwarder
        self._key = key
        self._tries = [_Tries(upstream) for upstream in upstreams]
        self._done: Callable[[Fetched], None] | None = done
        self._open: list[Asked] = []
        self._failure: Fetched | None = None
        self._networks: Fetched | None = None
        self._timer: Deadline | None = None
        self._started = forwarder.clock()

    def advance(self) -> None:
        """Ask the next upstream; give up when there is none and no answer can come any more."""
        try:
            self._advance()
        except Exception:  # a fetch always ends, whatever goes wrong: clients wait for it
            log.exception("fetch_failed", qtype=self._key.qtype)
            self.give_up(Fetched(None, "local"))

    def _advance(self) -> None:
        self._stop_timer()
        while self._done is not None:
            tries = self._next()
            if tries is None or self._left <= 0:
                self._wait_or_end()
                return
            if self._ask(tries):
                return

    def give_up(self, fetched: Fetched) -> None:
        """End it, whatever is still under way."""
        self._stop_timer()
        done, self._done = self._done, None
        still_open, self._open = self._open, []
        try:
            for asked in still_open:
                self._charge(asked)
                self._forwarder.forget(asked)
        finally:
            if done is not None:
                done(fetched)

    def replied(self, asked: Asked, answer: Answer) -> None:
        """Judge a reply that fits (see `Sink`)."""
        self._open.remove(asked)
        tries = self._of(asked)
        self._forwarder.answered(asked)
        if answer.tc:
            self._go_on_by_stream(tries, asked)
        elif answer.rcode in _FINAL:
            asked.upstream.unwilling = 0
            self.give_up(Fetched(answer))
        elif answer.rcode == Rcode.SERVFAIL and any(code in _DNSSEC for code, _ in extended_errors(answer)):
            self.give_up(Fetched(answer, "bogus"))  # another upstream must not paper over failed validation
        else:
            tries.out = True
            asked.upstream.unwilling += answer.rcode != Rcode.SERVFAIL  # SERVFAIL is about the name
            if self._failure is None or answer.rcode == Rcode.SERVFAIL:
                self._failure = Fetched(answer, "rcode")
            self.advance()

    def failed(self, asked: Asked, error: OSError) -> None:
        """A try cannot be answered any more (see `Sink`)."""
        if asked not in self._open:  # given up together with the stream it was on
            return
        self._open.remove(asked)
        self._note_error(asked, error)
        self.advance()

    def doubted(self, asked: Asked) -> None:
        """Ask again over TCP: replies were forged, or lost the mixed case (see `Sink`)."""
        self._open.remove(asked)
        self._forwarder.doubted += 1
        self._go_on_by_stream(self._of(asked), asked)

    @property
    def _left(self) -> float:
        """Seconds until this fetch must end."""
        return self._started + self._forwarder.settings.fetch_timeout - self._forwarder.clock()

    def _next(self) -> _Tries | None:
        left = [tries for tries in self._tries if tries.left]
        if len(left) == 1:
            return left[0]
        return min(left, key=lambda tries: tries.udp + tries.tcp) if left else None

    def _ask(self, tries: _Tries) -> bool:
        asked = self._forwarder.new(tries.upstream, self, self._key, stream=tries.stream)
        if tries.stream:
            tries.tcp += 1
        else:
            tries.udp += 1
        try:
            self._forwarder.send(asked)
        except OSError as error:
            tries.out = True
            self._note_error(asked, error)
            return False
        self._open.append(asked)
        shortest = 0.0 if self._can_hedge() else SAME_AGAIN
        round_ = tries.udp + tries.tcp - 1
        wait = min(max(asked.rto, shortest) * 2**round_, LONGEST_WAIT, self._left)
        self._timer = self._forwarder.wheel.after(wait, self._overdue)
        return True

    def _can_hedge(self) -> bool:
        """Whether the next try goes to an upstream that was not asked yet."""
        return len(self._tries) > 1 and any(tries.left and not tries.udp + tries.tcp for tries in self._tries)

    def _overdue(self) -> None:
        for asked in self._open:
            self._charge(asked)
        self.advance()

    def _wait_or_end(self) -> None:
        left = self._left
        if self._open and left > 0:
            self._timer = self._forwarder.wheel.after(left, self._wait_or_end)
        elif self._failure is not None:
            self.give_up(self._failure)
        elif self._open or self._networks is None:
            self.give_up(Fetched(None, "timeout"))
        else:
            self.give_up(self._networks)

    def _go_on_by_stream(self, tries: _Tries, asked: Asked) -> None:
        if asked.stream:  # cut short even on a stream: nothing better will come from there
            tries.out = True
        tries.stream = True
        self._stop_timer()
        if not (tries.left and self._ask(tries)):
            self.advance()

    def _note_error(self, asked: Asked, error: OSError) -> None:
        local = error.errno in _LOCAL_ERRORS
        if not local:
            self._charge(asked, at_once=True)
        self._networks = Fetched(None, "local" if local else "network")

    def _charge(self, asked: Asked, *, at_once: bool = False) -> None:
        """Count a try as lost, once, if its upstream had its usual time."""
        if not asked.charged and (at_once or self._forwarder.clock() - asked.sent_at >= asked.rto):
            asked.charged = True
            self._forwarder.lost(asked)

    def _of(self, asked: Asked) -> _Tries:
        return next(tries for tries in self._tries if tries.upstream is asked.upstream)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
