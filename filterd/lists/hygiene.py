"""What the lists in an index are worth: what each has alone, what it shares, what it names by mistake.

Reads the index once from end to end, in order, so that what covers a name is known when the name comes.
For reports; nothing is decided or changed by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import lmdb

from filterd.errors import DomainIndexError
from filterd.lists.gate import Guarded
from filterd.rules.canary import CANARIES
from filterd.rules.categories import Categories
from filterd.rules.index import EXACT, Entry, Index, decode
from filterd.rules.listinfo import META_KEY, ListInfo
from filterd.wire import names

_USELESS: Final = 0.02  # a list that adds less than this share of its names adds next to nothing

_Covering = frozenset[tuple[int, int]]  # (list, category) that hold for everything below a name


@dataclass(frozen=True, slots=True)
class Worth:
    """One list within the index.

    Attributes:
        id, category: of the list.
        names: it has in the index.
        alone: of these, names that no other list of its category covers.
        shared: how many of its names each other list of its category covers, the most first.
        blocks: lookups that were blocked by it; None when not known.
        share: of all blocked lookups; None when not known.
    """

    id: str
    category: str
    names: int
    alone: int
    shared: tuple[tuple[str, int], ...]
    blocks: int | None = None
    share: float | None = None

    @property
    def adds_little(self) -> bool:
        """Whether nearly all its names are covered by others."""
        return self.names > 0 and self.alone < self.names * _USELESS


@dataclass(frozen=True, slots=True)
class Surprise:
    """A name in a list that hardly belongs there.

    Attributes:
        name: the site.
        list_id, category: where it stands.
        listed: the entry that covers it.
        why: ``popular``, or the list or policy that keeps it open.
        lifted: whether it is open all the same.
    """

    name: str
    list_id: str
    category: str
    listed: str
    why: str
    lifted: bool


def worths(
    path: Path, infos: Iterable[ListInfo], blocks: Mapping[str, int] | None = None
) -> tuple[Worth, ...]:
    """Return what each list of an index is worth, in the order of the index.

    Args:
        path: the index; must not be open in this process.
        infos: its lists.
        blocks: blocked lookups by list id, where they are known.

    Raises:
        DomainIndexError: it cannot be read.
    """
    counted: Counter[int] = Counter()
    alone: Counter[int] = Counter()
    shared: Counter[tuple[int, int]] = Counter()
    for entries, above in _walk(path):
        for entry in entries:
            counted[entry.list_no] += 1
            others = {one.list_no for one in entries if one.category == entry.category}
            others |= {number for number, category in above if category == entry.category}
            others.discard(entry.list_no)
            if not others:
                alone[entry.list_no] += 1
            for other in others:
                shared[entry.list_no, other] += 1
    by_number = {info.no: info for info in infos}
    total = sum(blocks.values()) if blocks else 0
    return tuple(
        Worth(
            info.id,
            info.category,
            counted[number],
            alone[number],
            _most(number, shared, by_number),
            None if blocks is None else blocks.get(info.id, 0),
            None if not total or blocks is None else blocks.get(info.id, 0) / total,
        )
        for number, info in by_number.items()
    )


def _most(
    number: int, shared: Counter[tuple[int, int]], by_number: Mapping[int, ListInfo]
) -> tuple[tuple[str, int], ...]:
    mine = [(by_number[other].id, count) for (one, other), count in shared.items() if one == number]
    return tuple(sorted(mine, key=lambda pair: (-pair[1], pair[0])))


def _walk(path: Path) -> Iterator[tuple[tuple[Entry, ...], _Covering]]:
    """Yield the blocking entries of each name with what covers the name from above, in the index's order."""
    above: list[tuple[bytes, _Covering]] = []
    nothing: _Covering = frozenset()
    for key, value in _items(path):
        while above and not key.startswith(above[-1][0]):
            above.pop()
        entries = tuple(entry for entry in decode(value) if not entry.allow)
        covering = above[-1][1] if above else nothing
        if entries:
            yield entries, covering
        reach = frozenset((entry.list_no, entry.category) for entry in entries if entry.scope != EXACT)
        if reach:
            above.append((key, covering | reach))


def _items(path: Path) -> Iterator[tuple[bytes, bytes]]:
    try:
        environment: Any = lmdb.open(str(path), subdir=False, readonly=True, lock=False, create=False)
    except lmdb.Error as error:
        raise DomainIndexError(
            f"{path} cannot be opened: {error}", remedy="run `filterd lists compile`"
        ) from error
    try:
        with environment.begin() as snapshot:
            for key, value in snapshot.cursor():
                if key != META_KEY:
                    yield key, value
    finally:
        environment.close()


def surprises(index: Index, guarded: Guarded, categories: Categories) -> tuple[Surprise, ...]:
    """Return the names that public lists hold although people keep them open or many visit them."""
    wanted = dict.fromkeys(guarded.popular.sites, "popular") | dict(guarded.open)
    canaries = names.from_text(CANARIES)
    found = []
    for name, why in wanted.items():
        if names.is_under(name, canaries):
            continue
        matches = index.lookup(name)
        open_by_people = any(categories.allowing >> match.entry.category & 1 for match in matches)
        for match in matches:
            info = index.lists[match.entry.list_no]
            category = categories.by_bit.get(match.entry.category)
            expected = guarded.popular.sites.get(name, frozenset())
            if info.origin != "public" or category is None or category.kind == "allow":
                continue
            if why == "popular" and category.id in expected:
                continue
            text = names.to_text(name)
            listed = names.to_text(match.name)
            found.append(Surprise(text, info.id, category.id, listed, why, open_by_people))
    return tuple(sorted(found, key=lambda one: (one.lifted, one.name, one.list_id)))
