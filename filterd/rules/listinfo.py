"""What an index says about itself: its build and the lists in it, as JSON under one key.

Values and their codec only; never opens a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from filterd.errors import DomainIndexError

FORMAT = 1
META_KEY = b"\xff"  # no label is 255 bytes long, so no name has this key, and it sorts last

Origin = Literal["public", "local", "licensed"]


@dataclass(frozen=True, slots=True)
class ListInfo:
    """One list within an index.

    Attributes:
        no: its number in the entries of this index.
        id: stable id of the list.
        category: id of the category it fills unless an entry says otherwise.
        origin: ``public`` (fetched, kept by strangers), ``local`` (kept by people of the school, region or
            ministry) or ``licensed``.
        licence: SPDX id or a few words.
        entries: how many names it gave.
        rejected: how many lines were not understood.
        sha256: of the source as read, in hex.
        fetched_at: UTC seconds, None for a local file.
        title: what people call it.
    """

    no: int
    id: str
    category: str
    origin: Origin
    licence: str = ""
    entries: int = 0
    rejected: int = 0
    sha256: str = ""
    fetched_at: int | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class IndexMeta:
    """One build of an index.

    Attributes:
        version: identity of the build.
        built_at: UTC seconds.
        names: how many names are listed.
        lists: the lists in it.
    """

    version: str
    built_at: int
    names: int
    lists: tuple[ListInfo, ...]


_LISTS = TypeAdapter(tuple[ListInfo, ...])


def write_meta(version: str, built_at: int, names: int, lists: Iterable[ListInfo]) -> bytes:
    """Return the value that the compiler stores under META_KEY."""
    content = {
        "format": FORMAT,
        "version": version,
        "built_at": built_at,
        "names": names,
        "lists": [asdict(info) for info in lists],
    }
    return json.dumps(content, ensure_ascii=False, sort_keys=True).encode()


def read_meta(value: bytes | None, path: Path) -> IndexMeta:
    """Return what ``write_meta`` wrote; None is what a file that is no index has under META_KEY.

    Raises:
        DomainIndexError: another format, or not what was written; names the file.
    """
    remedy = "run `filterd lists compile`"
    if value is None:
        raise DomainIndexError(f"{path} is not a domain index", remedy=remedy)
    try:
        content = json.loads(value)
        found = content["format"]
        meta = IndexMeta(
            str(content["version"]),
            int(content["built_at"]),
            int(content["names"]),
            _LISTS.validate_python(content["lists"]),
        )
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise DomainIndexError(f"{path} does not describe itself: {error}", remedy=remedy) from error
    if found != FORMAT:
        raise DomainIndexError(f"{path} has format {found}, this program reads {FORMAT}", remedy=remedy)
    return meta
