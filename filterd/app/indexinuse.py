"""Which compiled index a DNS process begins with, also on a disk that damaged some of them (R21)."""

from __future__ import annotations

from pathlib import Path

import structlog

from filterd.errors import DomainIndexError
from filterd.lists import activate
from filterd.rules.index import Index

log = structlog.get_logger(__name__)


def readable_index(folder: Path) -> tuple[Index, str]:
    """Return the index in use and its version, or the newest other one that can be read.

    With none that can, an empty one that is not ready: a damaged disk must not take the school's internet
    down. The policy says what becomes of lookups then (``without_lists``, R21).
    """
    current = activate.current(folder)
    others = [folder / version / activate.INDEX for version in reversed(activate.versions(folder))]
    for path in dict.fromkeys([*([current] if current is not None else []), *others]):
        try:
            return Index.open(path), path.parent.name
        except DomainIndexError as error:
            log.error("index_unreadable", path=str(path), error=str(error))  # noqa: TRY400 - the line says all
    log.critical("no_lists", remedy="lists are compiled anew in the background; see `filterd lists status`")
    return Index.empty(), ""
