"""Token bucket per client with TC slip, so that filterd is no amplifier; no clock of its own.

A spoofed source can at most be sent ``per_second`` answers, half of them replaced by an empty TC=1 answer
no longer than the query (dns.md, "Amplification").
"""

from __future__ import annotations

from enum import Enum, auto

from filterd.server.settings import RateLimit


class Admission(Enum):
    """What to do with a query."""

    ANSWER = auto()
    SLIP = auto()
    DROP = auto()


class Bucket:
    """The tokens of one client."""

    __slots__ = ("over", "tokens", "updated")

    def __init__(self, limit: RateLimit, now: float) -> None:
        self.tokens = float(limit.burst)
        self.updated = now
        self.over = 0

    def admit(self, limit: RateLimit, now: float) -> Admission:
        """Take one token at ``now`` (monotonic seconds) and return what to do with the query."""
        if not limit.per_second:
            return Admission.ANSWER
        tokens = min(float(limit.burst), self.tokens + max(0.0, now - self.updated) * limit.per_second)
        self.updated = now
        if tokens >= 1.0:
            self.tokens = tokens - 1.0
            return Admission.ANSWER
        self.tokens = tokens
        self.over += 1
        return Admission.SLIP if limit.slip and self.over % limit.slip == 0 else Admission.DROP

    def take(self, limit: RateLimit, now: float, count: int) -> bool:
        """Take ``count`` tokens at once if there are so many, else none; return whether it did."""
        tokens = min(float(limit.burst), self.tokens + max(0.0, now - self.updated) * limit.per_second)
        self.updated = now
        enough = tokens >= count
        self.tokens = tokens - count if enough else tokens
        return enough
