"""An update of the fetched lists: each is fetched, unpacked, read, judged; a good copy counts from then on.

What fails for one list leaves its last good copy and the other lists alone. Compiles nothing and switches
nothing; see staged.py for that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from filterd.errors import FetchError, ListError
from filterd.lists import partfile
from filterd.lists.catalogue import ListSource, Material
from filterd.lists.fetch import Ask, Fetcher, Got
from filterd.lists.gate import Guarded, Judgement, judge
from filterd.lists.limits import MIB, Bounds, bounds_of
from filterd.lists.scan import Watched, scan
from filterd.lists.shelf import Copy, ListState, Shelf
from filterd.lists.unpacking import unpack
from filterd.rules.categories import Categories
from filterd.rules.index import Index

_TIMES_LARGER: Final = 20  # than the last good copy: more is not even written to the disk
_ROOM: Final = 4 * MIB

Result = Literal["new", "same", "refused", "failed"]
Progress = Callable[[str, int, int], object]  # id of the list, bytes so far, bytes in all (0: not told)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an update did for one list.

    Attributes:
        id: of the list.
        result: ``new`` (a good copy came), ``same`` (the copy here is the newest), ``refused`` (the gate
            spoke against what came), ``failed`` (nothing came).
        why: for the last two.
        entries: of the copy that is good now.
        received: bytes transferred.
        newly: popular sites that the new copy names and the old one did not.
    """

    id: str
    result: Result
    why: str = ""
    entries: int = 0
    received: int = 0
    newly: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether the copy that is used is the newest there is."""
        return self.result in {"new", "same"}


@dataclass(frozen=True, slots=True)
class Means:
    """What an update works with.

    Attributes:
        shelf: the fetched lists.
        fetcher: an open fetcher.
        categories: the catalogue of categories.
        guarded: what no list may change.
        in_use: the index in use, None before the first.
        mirror: an address whose ``<mirror>/<list id>`` is asked first; empty: none.
        clock: UTC seconds.
    """

    shelf: Shelf
    fetcher: Fetcher
    categories: Categories
    guarded: Guarded
    in_use: Index | None = None
    mirror: str = ""
    clock: Callable[[], float] = time.time


async def update(
    means: Means, sources: Sequence[ListSource], progress: Progress = lambda _id, _done, _total: None
) -> tuple[Outcome, ...]:
    """Update the lists that have a URL; returns one outcome for each, in order.

    Raises:
        ListError: the shelf cannot be written, or another update holds it.
    """
    one = _Updater(means, Watched(means.guarded.watched), progress)
    with means.shelf.alone():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one.update(source)) for source in sources if source.url is not None]
    return tuple(task.result() for task in tasks)


class _Updater:
    def __init__(self, means: Means, watched: Watched, progress: Progress) -> None:
        self._means = means
        self._watched = watched
        self._progress = progress
        self._reading = asyncio.Lock()  # reading keeps a core busy: one list at a time

    async def update(self, source: ListSource) -> Outcome:
        try:
            return await self._update(source)
        except ListError as error:  # of the shelf: the disk is full, or not ours
            return Outcome(source.id, "failed", str(error))

    async def _update(self, source: ListSource) -> Outcome:
        means = self._means
        state = means.shelf.state(source.id)
        bounds = _tightened(bounds_of(source.limits, means.categories.by_id[source.category]), state.good)
        failures = []
        for url in _urls(source, means.mirror):
            ask = _ask(url, means.shelf.part(source.id), bounds, state)
            try:
                got = await means.fetcher.get(ask, lambda done, total: self._progress(source.id, done, total))
                if got.same and state.refused is None:
                    return self._same(source, state)
                async with self._reading:
                    if got.same:
                        return await asyncio.to_thread(self._again, source, bounds, state)
                    return await asyncio.to_thread(self._take, source, ask, got, bounds, state)
            except FetchError as error:
                failures.append(error.message)
            except ListError as error:
                partfile.discard(ask.part)
                failures.append(f"{url}: {error.message}")
        return self._failed(source, state, "; ".join(failures))

    def _same(self, source: ListSource, state: ListState) -> Outcome:
        now = int(self._means.clock())
        good = state.good and replace(state.good, confirmed_at=now)
        self._means.shelf.save(source.id, ListState(good=good, tried_at=now))
        return Outcome(source.id, "same", entries=_entries(state))

    def _again(self, source: ListSource, bounds: Bounds, state: ListState) -> Outcome:
        """Judge the refused copy anew, which is still what the source has: the limits may be others now."""
        shelf, refused = self._means.shelf, state.refused
        if refused is None:
            return self._same(source, state)
        try:
            copy, judgement = self._judged(source, shelf.path(source, refused), bounds, state)
        except OSError as error:
            raise ListError(f"cannot be read: {error.strerror or error}") from error
        copy = replace(refused, popular=copy.popular, confirmed_at=copy.confirmed_at)
        return self._settle(source, copy, judgement, state, 0)

    def _failed(self, source: ListSource, state: ListState, why: str) -> Outcome:
        state = replace(state, failed=why, failures=state.failures + 1, tried_at=int(self._means.clock()))
        self._means.shelf.save(source.id, state)
        return Outcome(source.id, "failed", why, _entries(state))

    def _take(self, source: ListSource, ask: Ask, got: Got, bounds: Bounds, state: ListState) -> Outcome:
        """Judge what came and put it where it belongs."""
        shelf, now = self._means.shelf, int(self._means.clock())
        with shelf.place(source.id) as place:
            try:
                size = unpack(ask.part, source, place, bounds)
                copy, judgement = self._judged(source, shelf.within(source, place), bounds, state)
                copy = replace(copy, size=size, url=ask.url, etag=got.etag, last_modified=got.last_modified)
                good = state.good
                if good is not None and copy.sha256 == good.sha256:
                    copy = replace(copy, name=good.name, fetched_at=good.fetched_at)
                    shelf.save(source.id, ListState(good=copy, tried_at=now))
                    partfile.discard(ask.part)
                    return Outcome(source.id, "same", entries=copy.entries, received=got.received)
                copy = shelf.keep(source.id, place, copy)
            except OSError as error:
                raise ListError(
                    f"cannot be kept: {error.strerror or error}", remedy="check the space left"
                ) from error
        partfile.discard(ask.part)
        return self._settle(source, copy, judgement, state, got.received)

    def _settle(
        self, source: ListSource, copy: Copy, judgement: Judgement, state: ListState, received: int
    ) -> Outcome:
        shelf, now = self._means.shelf, int(self._means.clock())
        if judgement.problems:
            state = ListState(state.good, copy, judgement.problems, "", state.failures + 1, now)
            shelf.save(source.id, state)
            return Outcome(source.id, "refused", state.trouble, _entries(state), received, judgement.newly)
        shelf.save(source.id, ListState(good=copy, tried_at=now))
        return Outcome(source.id, "new", "", copy.entries, received, judgement.newly)

    def _judged(
        self, source: ListSource, path: Path, bounds: Bounds, state: ListState
    ) -> tuple[Copy, Judgement]:
        means, now = self._means, int(self._means.clock())
        good, version = state.good, means.guarded.popular.version
        found = scan(Material(source, path), self._watched)
        if good is not None and good.popular_of != version:  # judged with another file of popular sites
            known = scan(Material(source, means.shelf.path(source, good)), self._watched)
            again = judge(known, source, bounds, means.guarded, means.categories, last=None, seconds=0)
            good = replace(good, popular=again.popular)
        judgement = judge(
            found,
            source,
            bounds,
            means.guarded,
            means.categories,
            last=good,
            seconds=now - good.confirmed_at if good is not None else 0,
            in_use=means.in_use,
        )
        copy = Copy(
            name="",
            sha256=found.sha256,
            entries=found.entries,
            rejected=found.rejects,
            size=0,
            fetched_at=now,
            confirmed_at=now,
            popular=judgement.popular,
            popular_of=version,
        )
        return copy, judgement


def accept(shelf: Shelf, source: ListSource) -> Copy:
    """Make the copy that the gate refused the good one, because a person looked at it.

    Raises:
        ListError: none was refused, or the shelf cannot be written.
    """
    state = shelf.state(source.id)
    if state.refused is None:
        raise ListError(
            f"no copy of {source.id} was refused", remedy="`filterd lists status` shows which were"
        )
    shelf.save(source.id, ListState(good=state.refused, tried_at=state.tried_at))
    return state.refused


def _urls(source: ListSource, mirror: str) -> list[str]:
    first = [f"{mirror.rstrip('/')}/{source.id}"] if mirror else []
    return [*first, source.url or "", *source.mirrors]


def _ask(url: str, part: Path, bounds: Bounds, state: ListState) -> Ask:
    seen = state.seen
    if seen is None or seen.url != url:
        return Ask(url, part, bounds.max_bytes)
    return Ask(url, part, bounds.max_bytes, seen.etag, seen.last_modified)


def _tightened(bounds: Bounds, good: Copy | None) -> Bounds:
    """Return bounds that do not let a list become a hundred times larger before anything looks at it."""
    if good is None:
        return bounds
    most = max(good.size * _TIMES_LARGER, _ROOM)
    return replace(bounds, max_bytes=min(bounds.max_bytes, most), max_unpacked=min(bounds.max_unpacked, most))


def _entries(state: ListState) -> int:
    return state.good.entries if state.good is not None else 0
