"""Sorted records -> one value for each name, without entries that say nothing new.

What a list says of a name is left out where the same list says the same of a name above it: verdicts stay the
same, because an exception of a list cancels all its entries for a name alike (``rules.index``). Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final

from filterd.lists.rule import BELOW, SUBTREE
from filterd.rules.index import Entry, decode, encode

ENTRY: Final = 4  # bytes of an encoded entry
TAIL: Final = ENTRY + 1  # and the zero byte before it

Dropped = Callable[[int], object]  # called with the number of the list whose entry is left out
_Reach = frozenset[Entry]  # entries, with scope SUBTREE, that hold for everything below a name


def entries_by_name(records: Iterable[bytes], dropped: Dropped) -> Iterator[tuple[bytes, bytes]]:
    """Yield (index key, value), sorted by key, from records sorted and without repetition."""
    above: list[tuple[bytes, _Reach]] = []  # the names above this one that reach below themselves
    for key, raw in _grouped(records):
        value = raw
        if len(raw) > ENTRY:
            value, lost = _combined(raw)
            for number in lost:
                dropped(number)
        while above and not key.startswith(above[-1][0]):
            above.pop()
        if above:
            value, lost = _without(value, above[-1][1])
            for number in lost:
                dropped(number)
            if not value:
                continue
        if reach := _reach(value):
            above.append((key, above[-1][1] | reach if above else reach))
        yield key, value


def _grouped(records: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    key = value = b""
    for record in records:
        this = record[:-TAIL]
        if this == key:
            value += record[-ENTRY:]
        else:
            if key:
                yield key, value
            key, value = this, record[-ENTRY:]
    if key:
        yield key, value


# A million names share a few hundred different values, so each question below is answered from its cache.


@lru_cache(maxsize=65_536)
def _combined(value: bytes) -> tuple[bytes, tuple[int, ...]]:
    """Return one entry for each list, category and kind, and the list numbers of those that went into others.

    ``d`` and ``*.d`` together are the whole subtree (the way RPZ says it).
    """
    scopes: dict[Entry, int] = {}
    lost = []
    for entry in decode(value):
        same = entry._replace(scope=SUBTREE)
        if same in scopes:
            lost.append(entry.list_no)
            scopes[same] = entry.scope if scopes[same] == entry.scope else SUBTREE
        else:
            scopes[same] = entry.scope
    return encode(entry._replace(scope=scope) for entry, scope in scopes.items()), tuple(lost)


@lru_cache(maxsize=65_536)
def _without(value: bytes, reach: _Reach) -> tuple[bytes, tuple[int, ...]]:
    entries = decode(value)
    kept = [entry for entry in entries if entry._replace(scope=SUBTREE) not in reach]
    lost = tuple(entry.list_no for entry in entries if entry not in kept)
    return (encode(kept), lost) if lost else (value, ())


@lru_cache(maxsize=65_536)
def _reach(value: bytes) -> _Reach:
    return frozenset(
        entry._replace(scope=SUBTREE) for entry in decode(value) if entry.scope in (SUBTREE, BELOW)
    )
