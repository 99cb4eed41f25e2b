"""Failures remembered for a while, so that a broken name is not asked for again and again (RFC 9520).

Each further failure of the same question doubles the wait, from 1 s to the cap. Kept apart from the cache:
a failure must not push out a stale answer that can still help. Time comes in as an argument.
"""

from __future__ import annotations

from typing import NamedTuple

from filterd.resolver.cache import Key

FIRST = 1.0  # seconds (RFC 9520 section 3.2: at least 1 s)
MAX_ENTRIES = 8192
FORGIVEN_AFTER = 300.0


class Failure(NamedTuple):
    """How a question failed last.

    Args:
        rcode: what clients are told.
        ede: extended error that goes with it.
        at: when it failed.
        until: when it may be tried again.
        stale_helps: an old answer may stand in; not if validation failed, since it may be what failed.
    """

    rcode: int
    ede: tuple[int, str] | None
    at: float
    until: float
    stale_helps: bool = True


class Failures:
    """Failures by question.

    Args:
        longest: cap of the wait, seconds, 1-300.
    """

    def __init__(self, longest: float) -> None:
        self.evicted = 0
        self._longest = longest
        self._known: dict[Key, Failure] = {}

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: Key, now: float) -> Failure | None:
        """Return the failure of a question while it is not to be tried again."""
        failure = self._known.get(key)
        return failure if failure is not None and now < failure.until else None

    def add(
        self, key: Key, rcode: int, ede: tuple[int, str] | None, now: float, *, stale_helps: bool = True
    ) -> Failure:
        """Remember a failure; twice as long as the last one of this question."""
        last = self._known.pop(key, None)
        wait = FIRST
        if last is not None and now - last.until < FORGIVEN_AFTER:
            wait = min(2 * (last.until - last.at), self._longest)
        elif len(self._known) >= MAX_ENTRIES:
            del self._known[next(iter(self._known))]
            self.evicted += 1
        failure = self._known[key] = Failure(rcode, ede, now, now + wait, stale_helps)
        return failure

    def forget(self, key: Key) -> None:
        """The question was answered."""
        self._known.pop(key, None)

    def clear(self) -> None:
        """An upstream came back: everything may be tried again."""
        self._known.clear()
