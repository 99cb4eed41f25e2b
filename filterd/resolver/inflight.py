"""Questions under way: one fetch per question, however many clients wait for it (RFC 5452 section 5).

Bounded in questions and in waiting clients. Knows neither packets nor policy: each waiting client judges
the common result for itself.
"""

from __future__ import annotations

from collections.abc import Callable

from filterd.resolver.cache import Entry, Key
from filterd.resolver.failures import Failure
from filterd.resolver.fetch import Fetched

Landed = Entry | Failure


class Flights:
    """All questions under way.

    Args:
        launch: begins a fetch and promises to call back once, perhaps at once.
        land: keeps what was fetched and returns what the waiting ones get.
        clock: monotonic seconds.
        max_flights: questions under way at once.
        max_waiters: clients waiting at once, over all questions.
    """

    def __init__(
        self,
        launch: Callable[[Key, Callable[[Fetched], None]], object],
        land: Callable[[Key, Fetched], Landed],
        clock: Callable[[], float],
        *,
        max_flights: int,
        max_waiters: int,
    ) -> None:
        self.coalesced = 0
        self.refreshed = 0
        self.shed = 0
        self.waiters = 0
        self._launch = launch
        self._land = land
        self._max_flights = max_flights
        self._max_waiters = max_waiters
        self._clock = clock
        self._waiting: dict[Key, dict[int, Callable[[Landed], None]]] = {}
        self._since: dict[Key, float] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, key: Key, waiter: Callable[[Landed], None]) -> int | None:
        """Wait for a question, asking it if nobody has yet; return a ticket, None when there is no room.

        ``waiter`` is called once, perhaps before this returns, unless `leave` comes first.
        """
        waiting = self._waiting.get(key)
        if self.waiters >= self._max_waiters or (waiting is None and len(self) >= self._max_flights):
            self.shed += 1
            return None
        self._next += 1
        ticket = self._next
        self.waiters += 1
        if waiting is not None:
            self.coalesced += 1
            waiting[ticket] = waiter
            return ticket
        self._waiting[key] = {ticket: waiter}
        self._since[key] = self._clock()
        self._launch(key, lambda fetched: self._arrived(key, fetched))
        return ticket

    def refresh(self, key: Key) -> bool:
        """Ask a question that nobody waits for; return whether it was asked: not twice, not without room."""
        if key in self._waiting or len(self) >= self._max_flights // 2:  # clients who wait come first
            return False
        self.refreshed += 1
        self._waiting[key] = {}
        self._since[key] = self._clock()
        self._launch(key, lambda fetched: self._arrived(key, fetched))
        return True

    def age(self, key: Key, now: float) -> float:
        """Return the seconds since a question was asked, 0 if it is not under way."""
        return now - self._since.get(key, now)

    def leave(self, key: Key, ticket: int) -> None:
        """Stop waiting; the question stays under way for the others and for the cache."""
        waiting = self._waiting.get(key)
        if waiting is not None and waiting.pop(ticket, None) is not None:
            self.waiters -= 1

    def _arrived(self, key: Key, fetched: Fetched) -> None:
        waiting = self._waiting.pop(key)
        del self._since[key]
        self.waiters -= len(waiting)
        landed = self._land(key, fetched)
        for waiter in waiting.values():
            waiter(landed)
