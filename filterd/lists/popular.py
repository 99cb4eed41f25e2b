"""Sites that many people visit: a list that suddenly names one of them has probably made a mistake.

A file of one name a line, with the categories it is expected in, or none::

    wikipedia.org
    youtube.com video

``blocklists/popular.txt`` is a small one of our own making. A larger one can be named in filterd.yaml; ranked
ones as ``rank,name`` are read too. Such a file never decides what is blocked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from filterd.errors import BadName, ListError
from filterd.wire import names

MAX_SITES: Final = 100_000
_MAX_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Popular:
    """Popular sites.

    Attributes:
        sites: the categories in which a site is expected, by wire name; mostly none.
        version: identity of the file.
    """

    sites: Mapping[bytes, frozenset[str]] = field(default_factory=dict)
    version: str = ""


def load_popular(path: Path) -> Popular:
    """Read a file of popular sites; a line that is no name is left out.

    Raises:
        ListError: it cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ListError(f"cannot be read: {error.strerror or error}", file=path) from error
    if len(content) > _MAX_BYTES:
        raise ListError(f"larger than {_MAX_BYTES >> 20} MiB", file=path, remedy="keep the first lines")
    sites: dict[bytes, frozenset[str]] = {}
    for line in content.decode("utf-8", "replace").splitlines():
        words = line.partition("#")[0].split()
        if not words or len(sites) >= MAX_SITES:
            continue
        try:
            name = names.from_text(words[0].rpartition(",")[2].rstrip("."))
        except BadName:
            continue
        sites.setdefault(name, frozenset(words[1:]))
    return Popular(sites, hashlib.sha256(content).hexdigest()[:16])
