"""Budgets of names: against floods of missing names (water torture) and against tunnels through DNS.

Counts only what would be fetched, so a school's ordinary traffic, which the cache answers, costs nothing.
Both tables are bounded. Never builds an answer; time comes in as an argument.
"""

from __future__ import annotations

from filterd.resolver.settings import ResolverSettings
from filterd.rules import suffixes
from filterd.wire import names

MAX_ZONES = 4096
MAX_PAIRS = 4096
LET_THROUGH = 10  # of a zone over its budget, one new name in ten is still asked for
_ARPA = b"\x04arpa\x00"
_BITS = 8192  # of the map that tells new names of a pair from repeated ones; 1 KB a pair


class MissingNames:
    """How many missing names each zone showed lately.

    The zone is the owner of the SOA in the negative answer. A public suffix has no budget: everything below
    ``kz`` must not suffer for one noisy device.
    """

    def __init__(self, settings: ResolverSettings) -> None:
        self.thinned = 0
        self.forgotten = 0  # zones no longer counted because the table was full
        self._budget = settings.nxdomain_budget
        self._window = settings.nxdomain_window
        self._exempt = settings.budget_exempt
        self._counts: dict[bytes, tuple[float, int]] = {}  # zone -> end of window, count
        self._spent: dict[bytes, float] = {}  # zone -> until
        self._turn = 0

    def note(self, zone: bytes, now: float) -> None:
        """Count one missing name of a zone."""
        end, count = self._counts.pop(zone, (0.0, 0))
        if end <= now:
            end, count = now + self._window, 0
        if len(self._counts) >= MAX_ZONES:
            self._counts.pop(next(iter(self._counts)))
            self.forgotten += 1
        self._counts[zone] = end, count + 1
        if count < self._budget or registrable(zone) is None or _under(zone, self._exempt):
            return
        if len(self._spent) < MAX_ZONES:
            self._spent[zone] = now + self._window
        else:
            self.forgotten += 1

    def too_many(self, name: bytes, now: float) -> bool:
        """Return whether a name is not asked for because its zone has spent its budget."""
        if not self._spent:
            return False
        for parent in names.parents(name):
            until = self._spent.get(parent)
            if until is None:
                continue
            if until <= now:
                del self._spent[parent]
                continue
            self._turn = (self._turn + 1) % LET_THROUGH
            if self._turn:
                self.thinned += 1
                return True
        return False


class _Pair:
    __slots__ = ("bytes", "end", "names", "seen")

    def __init__(self, end: float) -> None:
        self.end = end
        self.names = 0
        self.bytes = 0
        self.seen = bytearray(_BITS // 8)


class Tunnels:
    """How much each client says in labels below each registrable domain.

    What a tunnel sends out stands in the names, and every name is new.
    """

    def __init__(self, settings: ResolverSettings) -> None:
        self.refused = 0
        self.forgotten = 0  # pairs no longer counted because the table was full
        self._names = settings.tunnel_names
        self._bytes = settings.tunnel_bytes
        self._window = settings.tunnel_window
        self._exempt = settings.budget_exempt
        self._pairs: dict[tuple[bytes, bytes], _Pair] = {}

    def over(self, client: bytes, name: bytes, now: float) -> bytes | None:
        """Count a name that is about to be fetched; return its registrable domain if that is over budget."""
        domain = registrable(name)
        if domain is None or _under(name, self._exempt):
            return None
        key = client, domain
        pair = self._pairs.get(key)
        if pair is None or pair.end <= now:
            self._pairs.pop(key, None)
            if len(self._pairs) >= MAX_PAIRS:
                self._pairs.pop(next(iter(self._pairs)))
                self.forgotten += 1
            pair = self._pairs[key] = _Pair(now + self._window)
        at, bit = divmod(hash(name) % _BITS, 8)
        if not pair.seen[at] >> bit & 1:
            pair.seen[at] |= 1 << bit
            pair.names += 1
            pair.bytes += len(name) - len(domain)
        if pair.names <= self._names and pair.bytes <= self._bytes:
            return None
        self.refused += 1
        return domain


def registrable(name: bytes) -> bytes | None:
    """Return the registrable domain of a lower-case name; None for public suffixes, root, reverse names."""
    return None if name.endswith(_ARPA) else suffixes.registrable(name)


def _under(name: bytes, some: tuple[bytes, ...]) -> bool:
    return any(names.is_under(name, own) for own in some)
