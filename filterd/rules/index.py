"""The compiled index: its codec (shared with the compiler in lists/) and its reader.

One LMDB file holds every listed name of every list; the key is the name from the right, the value its
entries. The file is immutable once built: a reader opens it without locks, keeps one snapshot, and several
processes share its pages. Never writes, and never decides: what an entry means is up to a view.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import lmdb

from filterd.errors import DomainIndexError
from filterd.rules.listinfo import META_KEY, IndexMeta, ListInfo, read_meta

EXACT = 0  # this name only
SUBTREE = 1  # this name and everything below
BELOW = 2  # only what is below this name
SCOPE_NAMES = ("exact", "subtree", "below")

_SCOPE_MASK = 0x03
_ALLOW = 0x04
_IMPORTANT = 0x08
_ENTRY = struct.Struct(">HBB")
_REMEDY = "run `filterd lists compile`"


class Entry(NamedTuple):
    """What one list says about one name.

    Attributes:
        list_no: number of the list within this index, 0-65535.
        category: bit of the category, 0-63.
        scope: EXACT, SUBTREE or BELOW.
        allow: an exception (adblock's ``@@``): cancels the entries of the same list that are not important.
        important: not cancelled by an exception, unless that is important too (adblock's ``$important``).
    """

    list_no: int
    category: int
    scope: int
    allow: bool = False
    important: bool = False


class Match(NamedTuple):
    """An entry that applies to a looked-up name, and the listed name it was found at (lower-case wire)."""

    name: bytes
    entry: Entry


def key(name: bytes) -> bytes:
    """Return the index key of a lower-case wire name: its labels from the right, without the root.

    Length bytes stay, so the key of a parent is a prefix of the key of every name below it.
    """
    return b"".join(_labels_from_right(name))


def encode(entries: Iterable[Entry]) -> bytes:
    """Return the stored value of a name's entries: four bytes each, sorted, without repetition."""
    return b"".join(
        _ENTRY.pack(
            entry.list_no,
            entry.category,
            entry.scope | (_ALLOW if entry.allow else 0) | (_IMPORTANT if entry.important else 0),
        )
        for entry in sorted(set(entries))
    )


@lru_cache(maxsize=4096)  # a million names share a few hundred different values
def decode(value: bytes) -> tuple[Entry, ...]:
    """Return the entries of a stored value.

    Raises:
        DomainIndexError: the length is not a multiple of four, or an entry has an unknown scope or bit.
    """
    if len(value) % _ENTRY.size:
        raise DomainIndexError("an entry of the domain index is cut short", remedy=_REMEDY)
    entries = []
    for list_no, category, flags in _ENTRY.iter_unpack(value):
        scope = flags & _SCOPE_MASK
        if scope > BELOW or category > 63 or flags > (_SCOPE_MASK | _ALLOW | _IMPORTANT):
            raise DomainIndexError("an entry of the domain index has unknown flags", remedy=_REMEDY)
        entries.append(Entry(list_no, category, scope, bool(flags & _ALLOW), bool(flags & _IMPORTANT)))
    return tuple(entries)


def _labels_from_right(name: bytes) -> list[bytes]:
    labels = []
    position = 0
    while length := name[position]:
        end = position + length + 1
        labels.append(name[position:end])
        position = end
    labels.reverse()
    return labels


class Index:
    """The read side of a compiled index: one file, one snapshot.

    Several processes may open the same file. Use one Index from one thread.

    Attributes:
        lists: every list in the index by its number.
        public: numbers of the lists of origin ``public``.
        version: identity of this build.
        built_at: UTC seconds of the build.
        names: how many names are listed.
        ready: False for the stand-in of a box without lists: what it does not list may still be listed.
    """

    __slots__ = ("_get", "_tops", "built_at", "lists", "names", "public", "ready", "version")

    def __init__(
        self, get: Callable[[bytes], bytes | None], tops: Mapping[bytes, bytes | None], meta: IndexMeta
    ) -> None:
        self._get = get  # LMDB's Transaction.get: it keeps the snapshot, and the snapshot the mapping
        self._tops = tops
        self.lists: Mapping[int, ListInfo] = {info.no: info for info in meta.lists}
        self.public = frozenset(info.no for info in meta.lists if info.origin == "public")
        self.version = meta.version
        self.built_at = meta.built_at
        self.names = meta.names
        self.ready = True

    @classmethod
    def open(cls, path: Path) -> Index:
        """Map a compiled index.

        Raises:
            DomainIndexError: missing, cut short, not an index, or of another format.
        """
        environment = _map(path)
        try:
            snapshot = environment.begin(buffers=False)
            meta = read_meta(snapshot.get(META_KEY), path)
            tops = _tops(snapshot.cursor())
        except lmdb.Error as error:
            raise DomainIndexError(f"{path} cannot be read: {error}", remedy=_REMEDY) from error
        return cls(snapshot.get, tops, meta)

    @classmethod
    def of(
        cls,
        entries: Mapping[bytes, Iterable[Entry]],
        lists: Iterable[ListInfo] = (),
        *,
        version: str = "memory",
    ) -> Index:
        """Return an index held in memory: for policy tests and trials of a few names, not for real lists."""
        values = {key(name): encode(of_name) for name, of_name in entries.items()}
        first_labels = {name[: name[0] + 1] for name in values}
        tops = {label: values.get(label) for label in first_labels}
        return cls(values.get, tops, IndexMeta(version, 0, len(values), tuple(lists)))

    @classmethod
    def empty(cls) -> Index:
        """Return an index without a name, and not ready: what a box has when no compiled one can be read."""
        index = cls.of({}, version="empty")
        index.ready = False
        return index

    def lookup(self, name: bytes) -> tuple[Match, ...]:
        """Return all entries that apply to a name, nearest listed name first.

        Exceptions are already applied, each to its own list, and are not among the results.

        Args:
            name: lower-case wire name.
        """
        found = self.candidates(name)
        return found and apply_exceptions(found)

    def candidates(self, name: bytes) -> tuple[Match, ...]:
        """Return every entry whose scope covers the name, exceptions and what they cancel included.

        This is the hot path: a miss costs one key and one probe for each parent below the top label, and
        nothing at all is probed when no listed name ends in that top label.
        """
        labels = _labels_from_right(name)
        if not labels:
            return ()
        prefix = labels[0]
        try:
            top = self._tops[prefix]
        except KeyError:
            return ()
        get = self._get
        found = [] if top is None else [(prefix, top)]
        for label in labels[1:]:
            prefix += label
            if (value := get(prefix)) is not None:
                found.append((prefix, value))
        return _covering(found, name) if found else ()

    def close(self) -> None:
        """Let go of the file; unmapped unless another Index shares it. A lookup after this is an error."""
        self._get = _closed
        self._tops = _ClosedTops()


def _covering(found: list[tuple[bytes, bytes]], name: bytes) -> tuple[Match, ...]:
    whole = len(name) - 1
    matches = []
    for prefix, value in reversed(found):
        length = len(prefix)
        unwanted = BELOW if length == whole else EXACT
        listed = name[whole - length :]
        matches += [Match(listed, entry) for entry in decode(value) if entry.scope != unwanted]
    return tuple(matches)


def apply_exceptions(matches: tuple[Match, ...]) -> tuple[Match, ...]:
    """Return the matches that stand after each list's own exceptions; the exceptions are taken out.

    An exception cancels what the same list says about the name, wherever it says it, except important
    entries; an important exception cancels these too (adblock's order).
    """
    exceptions = {match.entry.list_no: False for match in matches if match.entry.allow}
    if not exceptions:
        return matches
    for match in matches:
        if match.entry.allow and match.entry.important:
            exceptions[match.entry.list_no] = True
    return tuple(
        match
        for match in matches
        if not match.entry.allow
        and (
            match.entry.list_no not in exceptions
            or (match.entry.important and not exceptions[match.entry.list_no])
        )
    )


# LMDB maps a file once per process: who opens it again (a reload to the same version) shares the mapping, and
# the last one to close it unmaps it.
_mapped: WeakValueDictionary[tuple[int, int], Any] = WeakValueDictionary()


def _map(path: Path) -> Any:
    """Return the LMDB environment of a file, after looking whether the file is whole."""
    try:
        status = path.stat()
        environment = _mapped.get((status.st_dev, status.st_ino))
        if environment is None:
            environment = lmdb.open(
                str(path), subdir=False, readonly=True, lock=False, readahead=False, max_dbs=0, create=False
            )
    except OSError as error:
        raise DomainIndexError(f"{path}: {error.strerror or error}", remedy=_REMEDY) from error
    except lmdb.Error as error:
        raise DomainIndexError(f"{path} cannot be opened: {error}", remedy=_REMEDY) from error
    # A mapped page past the end of the file is a SIGBUS, not an exception: look before reading.
    if (environment.info()["last_pgno"] + 1) * environment.stat()["psize"] > status.st_size:
        raise DomainIndexError(f"{path} is cut short", remedy=_REMEDY)
    _mapped[status.st_dev, status.st_ino] = environment
    return environment


def _tops(cursor: Any) -> dict[bytes, bytes | None]:
    """Return the last labels that occur in the index, each with the value of the label as a name, if any."""
    tops: dict[bytes, bytes | None] = {}
    more = cursor.first()
    while more:
        found = cursor.key()
        if found == META_KEY:
            break
        label = found[: found[0] + 1]
        tops[label] = cursor.value() if found == label else None
        # The next top label sorts after every key that begins with this one.
        more = cursor.set_range(_after(label))
    return tops


def _after(prefix: bytes) -> bytes:
    while prefix.endswith(b"\xff"):
        prefix = prefix[:-1]
    return prefix[:-1] + bytes((prefix[-1] + 1,))


def _closed(_key: bytes) -> bytes | None:
    raise DomainIndexError("the domain index is closed")


class _ClosedTops(dict[bytes, bytes | None]):
    def __missing__(self, label: bytes) -> bytes | None:
        raise DomainIndexError("the domain index is closed")
