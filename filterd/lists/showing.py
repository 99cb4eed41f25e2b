"""What ``filterd lists show`` and ``filterd lists find`` tell: values for people, read from the index in use.

Names of illegal content are never among them (R1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from filterd.lists import activate
from filterd.lists.catalogue import Catalogue, ListSource
from filterd.lists.exceptions import ALLOWED
from filterd.rules.canary import canary
from filterd.rules.categories import Categories
from filterd.rules.index import SCOPE_NAMES, Index, Match, apply_exceptions
from filterd.rules.listinfo import ListInfo
from filterd.wire import names


@dataclass(frozen=True, slots=True)
class ListStatus:
    """One list, as the catalogue and the index in use know it.

    Attributes:
        id, title, category, origin, licence: as in the catalogue, or in the index when it left the catalogue.
        enabled: whether the next compilation takes it; False also when it left the catalogue.
        compiled: whether it is in the index in use.
        entries: names it gave.
        rejected: lines that gave none.
        fetched_at: UTC seconds, None for a file kept by people.
        sha256: of its text, in hex.
        attribution: the sentence its licence asks to be shown; may be empty.
    """

    id: str
    title: str
    category: str
    origin: str
    licence: str
    enabled: bool
    compiled: bool
    entries: int = 0
    rejected: int = 0
    fetched_at: int | None = None
    sha256: str = ""
    attribution: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """All lists, and the index in use.

    Attributes:
        version: of the index; empty when there is none yet.
        built_at: UTC seconds.
        names: in the index.
        others: the other versions that are kept, newest first.
        lists: in the order of the catalogue; those that left it at the end.
        uncovered: ids of categories that no list fills with more than its canary: "no source" (R2). What
            people freed is not among them: to have freed nothing is no gap.
    """

    version: str
    built_at: int
    names: int
    others: tuple[str, ...]
    lists: tuple[ListStatus, ...]
    uncovered: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry of the index that concerns a name.

    Attributes:
        list_id, list_title, category, origin: of the list.
        listed: the listed name as text; None where it must not be displayed.
        scope: ``exact``, ``subtree`` or ``below``.
        allow: an exception of its list.
        important: an entry that exceptions do not cancel.
        applies: whether it stands after the exceptions of its list; an exception itself never does.
    """

    list_id: str
    list_title: str
    category: str
    origin: str
    listed: str | None
    scope: str
    allow: bool
    important: bool
    applies: bool


def show(catalogue: Catalogue, categories: Categories, folder: Path) -> Shown:
    """Return every list of the catalogue, and what the index in use holds of it.

    Raises:
        DomainIndexError: the index in use is damaged.
    """
    index = _in_use(folder)
    try:
        compiled = {info.id: info for info in index.lists.values()}
        known = [_status(source, compiled.pop(source.id, None)) for source in catalogue.sources]
        left = [_left(info) for info in compiled.values()]
        filled = {info.category for info in index.lists.values() if info.entries > _canaries(index, info)}
        version = activate.current_version(folder) or ""
        return Shown(
            version,
            index.built_at,
            index.names,
            tuple(one for one in reversed(activate.versions(folder)) if one != version),
            (*known, *left),
            tuple(one.id for one in categories.all if one.id not in filled and one.id != ALLOWED),
        )
    finally:
        index.close()


def find(name: str, categories: Categories, folder: Path) -> tuple[Hit, ...]:
    """Return every entry of the index in use that concerns a name, the nearest listed name first.

    Raises:
        BadName: the text is not a domain name.
        DomainIndexError: the index in use is damaged.
    """
    wire = names.from_text(name)
    index = _in_use(folder)
    try:
        found = index.candidates(wire)
        standing = frozenset(apply_exceptions(found))
        return tuple(_hit(match, index, categories, match in standing) for match in found)
    finally:
        index.close()


def _in_use(folder: Path) -> Index:
    path = activate.current(folder)
    return Index.open(path) if path is not None else Index.empty()


def _canaries(index: Index, info: ListInfo) -> int:
    """Return how many names of a list are canaries, which fill no category."""
    return sum(match.entry.list_no == info.no for match in index.candidates(canary(info.category)))


def _status(source: ListSource, info: ListInfo | None) -> ListStatus:
    status = ListStatus(
        source.id,
        source.title,
        source.category,
        source.origin,
        source.licence,
        enabled=source.enabled,
        compiled=info is not None and bool(info.sha256),
        attribution=source.attribution or "",
    )
    return status if info is None else _with_counts(status, info)


def _left(info: ListInfo) -> ListStatus:
    status = ListStatus(
        info.id, info.title, info.category, info.origin, info.licence, enabled=False, compiled=True
    )
    return _with_counts(status, info)


def _with_counts(status: ListStatus, info: ListInfo) -> ListStatus:
    return replace(
        status,
        entries=info.entries,
        rejected=info.rejected,
        fetched_at=info.fetched_at,
        sha256=info.sha256,
    )


def _hit(match: Match, index: Index, categories: Categories, applies: bool) -> Hit:
    entry = match.entry
    info = index.lists.get(entry.list_no)
    category = categories.by_bit.get(entry.category)
    hidden = category is None or category.illegal
    return Hit(
        info.id if info else str(entry.list_no),
        info.title if info else "",
        category.id if category else str(entry.category),
        info.origin if info else "",
        None if hidden else names.to_text(match.name),
        SCOPE_NAMES[entry.scope],
        entry.allow,
        entry.important,
        applies and not entry.allow,
    )
