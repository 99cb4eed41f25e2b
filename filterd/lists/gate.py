"""The gate: what a new copy of a list, and then a new index, must show before it is used. Pure.

A copy that fails is refused with its reasons and the last good one stays; the other lists go on. What the
gate guards are names that must stay open (learning, help, health, updates, this box's own endpoint, what
policies allow), names that must stay blocked (canaries, what people listed), and popular sites.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from filterd.lists.catalogue import ListSource
from filterd.lists.limits import Bounds, grown_too_far, shrunk_too_far
from filterd.lists.popular import Popular
from filterd.lists.scan import Scan
from filterd.lists.shelf import Copy
from filterd.rules.canary import canary
from filterd.rules.categories import Categories
from filterd.rules.decide import permit
from filterd.rules.index import Entry, Index
from filterd.rules.listinfo import ListInfo
from filterd.rules.verdict import Action
from filterd.rules.view import View
from filterd.wire import names

_SHOWN: Final = 5  # names in one sentence
_CANDIDATE: Final = 65_535  # number of the list that is judged, beside those of people
# Popular sites that a copy may newly name, as a share of all and at least: on an update, and the first time.
# A school policy of 18 real lists blocked 1.5 % of the 10,000 most visited sites.
_POPULAR: Final = (0.005, 3)
_POPULAR_FIRST: Final = (0.02, 5)


@dataclass(frozen=True, slots=True)
class Guarded:
    """What no list may change by itself.

    Attributes:
        open: names that must stay open, with the reason, by wire name.
        shut: names that must stay blocked, likewise.
        views: the policies of this box's groups.
        base: entries of the lists that people keep, as far as they concern these names and popular ones.
        infos: these lists.
        popular: popular sites.
    """

    open: Mapping[bytes, str] = field(default_factory=dict)
    shut: Mapping[bytes, str] = field(default_factory=dict)
    views: Sequence[View] = ()
    base: Mapping[bytes, Sequence[Entry]] = field(default_factory=dict)
    infos: Sequence[ListInfo] = ()
    popular: Popular = field(default_factory=Popular)

    @property
    def watched(self) -> frozenset[bytes]:
        """All names that a scan must watch."""
        return frozenset(self.open) | frozenset(self.shut) | frozenset(self.popular.sites)

    def index(self) -> Index:
        """Return the lists that people keep as an index."""
        return Index.of(self.base, self.infos)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gate says.

    Attributes:
        problems: why it must not be used, one sentence each; empty: it may.
        popular: popular sites that it names beyond what its category expects.
        newly: of these, those that the last good copy did not name.
    """

    problems: tuple[str, ...] = ()
    popular: tuple[str, ...] = ()
    newly: tuple[str, ...] = ()


def judge(
    scan: Scan,
    source: ListSource,
    bounds: Bounds,
    guarded: Guarded,
    categories: Categories,
    *,
    last: Copy | None,
    seconds: float,
    in_use: Index | None = None,
) -> Judgement:
    """Return what is wrong with a new copy of a list.

    Args:
        scan: what the copy holds.
        source: the list.
        bounds: its limits.
        guarded: what it may not change.
        categories: the catalogue of categories.
        last: the last good copy, None before the first.
        seconds: between the two.
        in_use: the index in use, None before the first.
    """
    entry = categories.by_id[source.category]
    candidate = scan.entries_of(_CANDIDATE, entry.bit)
    info = ListInfo(_CANDIDATE, source.id, source.category, source.origin)
    found = _popular(candidate, info, guarded, categories)
    before = frozenset(last.popular) if last is not None else frozenset()
    newly = tuple(one for one in found if one not in before)
    problems = [
        *_parsing(scan, bounds),
        *_size(scan, bounds, last, seconds),
        *_fates(candidate, info, guarded, in_use),
        *_overblocking(newly, bounds, guarded, first=last is None),
    ]
    return Judgement(tuple(problems), found, newly)


def _parsing(scan: Scan, bounds: Bounds) -> Iterable[str]:
    lines = scan.entries + scan.unexplained
    if lines and scan.entries < lines * bounds.min_parsed:
        share = 100 * scan.entries / lines
        sample = scan.samples[0] if scan.samples else None
        where = f", first line {sample.line}: {sample.reason}" if sample else ""
        yield f"only {share:.0f} % of its lines are understood{where}"


def _size(scan: Scan, bounds: Bounds, last: Copy | None, seconds: float) -> Iterable[str]:
    if scan.entries < bounds.min_entries:
        yield f"{scan.entries} entries, at least {bounds.min_entries} are expected"
    if scan.entries > bounds.max_entries:
        yield f"{scan.entries} entries, at most {bounds.max_entries} are expected"
    if last is None:
        return
    if shrunk_too_far(last.entries, scan.entries, bounds, seconds):
        yield f"shrank from {last.entries} to {scan.entries} entries"
    if grown_too_far(last.entries, scan.entries, bounds, seconds):
        yield f"grew from {last.entries} to {scan.entries} entries"


def _fates(
    candidate: Mapping[bytes, list[Entry]], info: ListInfo, guarded: Guarded, in_use: Index | None
) -> Iterable[str]:
    """Say which guarded names the copy would block or open, unless the index in use does so already."""
    if candidate:
        both = {name: [*guarded.base.get(name, ()), *entries] for name, entries in candidate.items()}
        new = Index.of({**guarded.base, **both}, [*guarded.infos, info])
        touched = Index.of(candidate, [info])
        yield from _lost(guarded, new, in_use, touched)


def _lost(guarded: Guarded, new: Index, in_use: Index | None, touched: Index | None = None) -> Iterable[str]:
    """Say which guarded names are not treated as they must be by an index, but are by people's lists alone.

    Names that the index in use treats in the same way are left out: it is not the update that changes them.
    """
    people = guarded.index()
    for wanted, action, verb in ((guarded.open, Action.ALLOW, "block"), (guarded.shut, Action.BLOCK, "open")):
        olds = [people] if in_use is None else [people, in_use]
        lost = [
            f"{names.to_text(name)} ({why})"
            for name, why in wanted.items()
            if (touched is None or touched.candidates(name))
            and any(
                permit(name, view, new).action is not action
                and all(permit(name, view, old).action is action for old in olds)
                for view in guarded.views
            )
        ]
        if lost:
            yield f"would {verb} {_shown(lost)}"


def _popular(
    candidate: Mapping[bytes, list[Entry]], info: ListInfo, guarded: Guarded, categories: Categories
) -> tuple[str, ...]:
    """Return the popular sites that a copy names beyond what is expected, and that no people allow."""
    if categories.by_id[info.category].kind == "allow":
        return ()
    listed = Index.of(candidate, [info])
    people = guarded.index()
    return tuple(
        sorted(
            names.to_text(name)
            for name, expected in guarded.popular.sites.items()
            if info.category not in expected
            and listed.lookup(name)
            and not any(categories.allowing >> match.entry.category & 1 for match in people.lookup(name))
        )
    )


def _overblocking(newly: Sequence[str], bounds: Bounds, guarded: Guarded, *, first: bool) -> Iterable[str]:
    share, least = _POPULAR_FIRST if first else _POPULAR
    most = bounds.max_popular
    if most is None:
        most = max(int(len(guarded.popular.sites) * share), least)
    if len(newly) > most:
        yield f"names {len(newly)} popular sites anew, at most {most} are expected: {_shown(newly)}"


def judge_index(
    new: Index, old: Index | None, guarded: Guarded, categories: Categories, wanted: Iterable[str]
) -> tuple[str, ...]:
    """Return why an index must not be put in use; nothing: it may.

    Args:
        new: the index.
        old: the one in use, None before the first.
        guarded: what it may not change.
        categories: the catalogue of categories.
        wanted: ids of the lists that should be in it.
    """
    before = old if old is not None else Index.empty()
    problems = list(_lost(guarded, new, old))
    held = {info.id: info for info in before.lists.values() if info.entries}
    now = {info.id for info in new.lists.values() if info.entries}
    emptied = [list_id for list_id in wanted if list_id in held and list_id not in now]
    if emptied:
        problems.append(f"holds nothing any more of {_shown(emptied)}")
    missing = [
        category.id
        for category in categories.all
        if _has_canary(before, category.id, category.bit) and not _has_canary(new, category.id, category.bit)
    ]
    if missing:
        problems.append(f"lost the canary of {_shown(missing)}")
    return tuple(problems)


def _has_canary(index: Index, category_id: str, bit: int) -> bool:
    return any(match.entry.category == bit for match in index.lookup(canary(category_id)))


def _shown(found: Sequence[str]) -> str:
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more
