"""Small numbers are hidden so that nobody can compute them back (k-anonymity with complementary suppression).

A figure made by fewer than k devices is hidden (school.md: k = 5 within a school, 10 above it). A hidden
figure could often be computed from totals, so others are hidden with it. Tables with totals are an old
problem with an exact answer: take rows and columns as nodes and hidden figures as edges; a hidden figure
keeps more than one possible value exactly if its edge lies on a cycle along which one unit can be moved
(D. Gusfield, "A graph theoretic approach to statistical data security", SIAM J. Comput. 17, 1988). The reader
is taken to know that every hidden figure is at least 1, because zeros are shown.

Pure; knows nothing of schools, categories or texts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count as counter
from typing import Final, TypeAlias

# (row, column); None instead of a row or a column is the total over it.
Key: TypeAlias = tuple[str | None, str | None]
_Node: TypeAlias = tuple[bool, str | None]

_COST: Final = 16  # of hiding a figure, beside the binary digits of its count
_TOTAL_COST: Final = (1, 100, 100_000)  # factor for a cell, a total, the total of all


@dataclass(frozen=True, slots=True)
class Figure:
    """A count, and how many different devices made it."""

    count: int
    devices: int


def hidden(figures: Mapping[Key, Figure], k: int, also: Collection[Key] = ()) -> frozenset[Key]:
    """Return which figures of a table with totals to hide.

    Args:
        figures: cells and all totals; what is not named is 0 and shown.
        k: a figure of fewer devices is hidden.
        also: figures to hide for other reasons.
    """
    # In one order, so that the same figures give the same report, and so the same digest.
    known = {key: figures[key].count for key in sorted(figures, key=_order) if figures[key].count > 0}
    found = {key for key in known if figures[key].devices < k or key in also}
    for key in sorted(found, key=_order):
        if not _is_free(known, found, key):
            found |= _cover(known, found, key)
    return frozenset(found)


def hidden_in_sum(figures: Mapping[str, Figure], k: int) -> tuple[frozenset[str], bool]:
    """Return which figures of a list to hide whose sum is shown, and whether the sum must be hidden, too."""
    known = {key: figure.count for key, figure in figures.items() if figure.count > 0}
    found = {key for key in known if figures[key].devices < k}
    if not found:
        return frozenset(), False
    for key in sorted(known.keys() - found, key=lambda one: (known[one], one)):
        if _has_room(known, found):
            break
        found.add(key)
    return frozenset(found), not _has_room(known, found)


def _has_room(known: Mapping[str, int], found: set[str]) -> bool:
    return len(found) > 1 and sum(known[key] for key in found) > len(found)


def _order(key: Key) -> tuple[bool, str, bool, str]:
    return key[0] is None, key[0] or "", key[1] is None, key[1] or ""


def _arcs(key: Key, count: int) -> Iterator[tuple[_Node, _Node]]:
    """Return the directions in which a figure can be moved by one unit and stay at least 1.

    With the totals as one more row and column of opposite sign, every row and column adds up to 0: from row
    to column a cell grows and a total shrinks, from column to row the other way round.
    """
    row, column = (True, key[0]), (False, key[1])
    is_total = (key[0] is None) != (key[1] is None)
    if count > 1 or not is_total:
        yield row, column
    if count > 1 or is_total:
        yield column, row


def _is_free(known: Mapping[Key, int], found: set[Key], key: Key) -> bool:
    """Tell whether a hidden figure has another possible value."""
    return any(
        _path(known, found, key, end, start, only_hidden=True) for start, end in _arcs(key, known[key])
    )


def _cover(known: Mapping[Key, int], found: set[Key], key: Key) -> set[Key]:
    """Return the cheapest figures to hide so that ``key`` is on a cycle; one over the totals always is."""
    paths = (_path(known, found, key, end, start) for start, end in _arcs(key, known[key]))
    best = min((path for path in paths if path), key=lambda path: path[0])
    return best[1]


def _path(
    known: Mapping[Key, int],
    found: set[Key],
    key: Key,
    start: _Node,
    end: _Node,
    *,
    only_hidden: bool = False,
) -> tuple[int, set[Key]] | None:
    """Return the cheapest way between two nodes without ``key``: its cost and its figures."""
    steps: dict[_Node, list[tuple[_Node, Key, int]]] = {}
    for one, count in known.items():
        if one != key and (one in found or not only_hidden):
            for source, target in _arcs(one, count):
                steps.setdefault(source, []).append((target, one, 0 if one in found else _cost(one, count)))
    came: dict[_Node, tuple[_Node, Key]] = {}
    best: dict[_Node, int] = {start: 0}
    ticket = counter()
    queue: list[tuple[int, int, _Node]] = [(0, next(ticket), start)]
    while queue:
        cost, _, node = heappop(queue)
        if node == end:
            return cost, _walked(came, start, end)
        if cost > best[node]:
            continue
        for target, one, extra in steps.get(node, ()):
            if cost + extra < best.get(target, 1 << 60):
                best[target] = cost + extra
                came[target] = (node, one)
                heappush(queue, (cost + extra, next(ticket), target))
    return None


def _walked(came: Mapping[_Node, tuple[_Node, Key]], start: _Node, end: _Node) -> set[Key]:
    keys: set[Key] = set()
    while end != start:
        end, key = came[end]
        keys.add(key)
    return keys


def _cost(key: Key, count: int) -> int:
    return (_COST + count.bit_length()) * _TOTAL_COST[(key[0] is None) + (key[1] is None)]
