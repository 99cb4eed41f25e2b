"""The cache: answers by question, bounded in bytes, evicted so that a scan does not flush what is popular.

Eviction is SIEVE (Zhang et al., NSDI 2024): a hit only sets a bit; a hand walks from old to new, gives a
second life to what was asked again and evicts the rest. Names asked once, such as a flood of random ones,
leave as they came and the popular ones stay. Never extends an entry: a new time of death needs a new
answer (ghost domains). Time comes in as an argument.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from filterd.wire import names
from filterd.wire.constants import Rcode
from filterd.wire.stored import StoredAnswer

ENTRY_OVERHEAD = 300  # bytes of key, node, entry and their places in tables, measured by resident memory
LARGEST_SHARE = 16  # one entry takes at most 1/16 of the cache
ANY_TYPE = -1  # a missing name is missing for every type (RFC 2308 section 5); no client can ask for it


class Key(NamedTuple):
    """What makes two questions the same.

    Args:
        zone: number of the group of upstreams: what one group says is never given out for another.
        name: lower-case wire name.
        qtype: type asked for, `ANY_TYPE` for "every type".
        qclass: class asked for.
        bits: 1 for DO, 2 for CD.
    """

    zone: int
    name: bytes
    qtype: int
    qclass: int
    bits: int


class Entry(NamedTuple):
    """One kept answer.

    Args:
        answer: what to render.
        names: names it leads to, links of the chain and targets: policy decides each, on every hit.
        private: the answer holds a private address.
        at: when it came.
        expires: when its TTL ends.
        dies: when it may not even be served stale any more.
    """

    answer: StoredAnswer
    names: tuple[bytes, ...]
    private: bool
    at: float
    expires: float
    dies: float


class _Node:
    __slots__ = ("entry", "key", "newer", "older", "size", "visited")

    def __init__(self, key: Key, entry: Entry, size: int) -> None:
        self.key = key
        self.entry = entry
        self.size = size
        self.visited = False
        self.newer: _Node | None = None
        self.older: _Node | None = None


class Cache:
    """Entries by key.

    Args:
        capacity: bytes that entries may take, their overhead included.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self.evicted = 0
        self.too_large = 0
        self._nodes: dict[Key, _Node] = {}
        self._missing = 0  # entries of missing names: without any there is less to look up
        self._newest: _Node | None = None
        self._oldest: _Node | None = None
        self._hand: _Node | None = None

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[tuple[Key, Entry]]:
        for node in self._nodes.values():
            yield node.key, node.entry

    def get(self, key: Key, now: float) -> Entry | None:
        """Return what is known about a question; the caller looks at ``expires``: it may be stale.

        What is fresh goes before what is stale, of two stale entries the newer one.
        """
        node = self._live(key, now)
        if self._missing and (node is None or node.entry.expires <= now):
            gone = self._live(key._replace(qtype=ANY_TYPE), now)
            if gone is not None and (node is None or gone.entry.at > node.entry.at):
                node = gone
        if node is None:
            self.misses += 1
            return None
        node.visited = True
        if node.entry.expires > now:
            self.hits += 1
        else:
            self.misses += 1
        return node.entry

    def missing_above(self, key: Key, now: float) -> float:
        """Return for how many seconds a parent of the name is known to be missing, 0 if none is (RFC 8020).

        Only what is fresh counts, and only for those who do not validate: the proof is about the parent.
        """
        zone, name, _, qclass, bits = key
        if self._missing and not bits:
            for parent in names.parents(name[name[0] + 1 :] if name[0] else name):
                node = self._nodes.get(Key(zone, parent, ANY_TYPE, qclass, bits))
                if node is not None and node.entry.expires > now:
                    node.visited = True
                    return node.entry.expires - now
        return 0.0

    def put(self, key: Key, entry: Entry) -> bool:
        """Keep an answer; return False if it is too large to be kept.

        The answer of a missing name is kept for every type, unless a CNAME led there: then it is the
        target that is missing (RFC 6604 section 3).
        """
        if entry.answer.rcode == Rcode.NXDOMAIN and not entry.answer.answers:
            key = key._replace(qtype=ANY_TYPE)
        size = entry.answer.size + ENTRY_OVERHEAD + 2 * len(key.name) + sum(map(len, entry.names))
        if size * LARGEST_SHARE > self.capacity:
            self.too_large += 1
            self.drop(key)  # what it replaces is no longer true
            return False
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = _Node(key, entry, size)
            self._missing += key.qtype == ANY_TYPE
            self._link(node)
        else:
            self.bytes -= node.size
            node.entry, node.size = entry, size
        self.bytes += size
        while self.bytes > self.capacity:
            self._evict()
        return True

    def drop(self, key: Key) -> None:
        """Forget one entry."""
        node = self._nodes.get(key)
        if node is not None:
            self._unlink(node)

    def clear(self) -> None:
        """Forget everything."""
        while self._oldest is not None:
            self._unlink(self._oldest)

    def _live(self, key: Key, now: float) -> _Node | None:
        node = self._nodes.get(key)
        if node is not None and node.entry.dies <= now:
            self._unlink(node)
            return None
        return node

    def _link(self, node: _Node) -> None:
        node.older = self._newest
        if self._newest is not None:
            self._newest.newer = node
        self._newest = node
        if self._oldest is None:
            self._oldest = node

    def _unlink(self, node: _Node) -> None:
        if node is self._hand:
            self._hand = node.newer
        if node.newer is not None:
            node.newer.older = node.older
        else:
            self._newest = node.older
        if node.older is not None:
            node.older.newer = node.newer
        else:
            self._oldest = node.newer
        node.newer = node.older = None
        del self._nodes[node.key]
        self._missing -= node.key.qtype == ANY_TYPE
        self.bytes -= node.size

    def _evict(self) -> None:
        node = self._hand or self._oldest
        while node is not None and node.visited:
            node.visited = False
            node = node.newer or self._oldest
        if node is None:
            return
        self._hand = node
        self._unlink(node)  # moves the hand on
        self.evicted += 1
