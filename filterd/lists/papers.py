"""Where the lists of a box stand and which it takes: values that a configuration makes, light to import.

Every process reads a configuration; none but the commands about lists reads lists.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from filterd.errors import ListError

CHOICE: Final = "choice.json"  # the part of a bundle that says which lists a region chose
IN_FORCE: Final = "current"  # the link to the bundle in force


@dataclass(frozen=True, slots=True)
class Choice:
    """Which lists of the catalogue a box takes.

    Attributes:
        sets: names of sets; None: the sets that the catalogue marks as default.
        add: ids of lists besides.
        remove: ids of lists that are left out whatever else names them.
    """

    sets: tuple[str, ...] | None = None
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """Return the choice as `read_choice` reads it."""
        return json.dumps(asdict(self)).encode()


@dataclass(frozen=True, slots=True)
class Papers:
    """Where the lists of a box stand.

    Attributes:
        catalogue: ``sources.yaml``; paths in it start from its folder.
        categories: ``categories.yaml``.
        fetched: the folder of fetched lists.
        choice: which lists of the catalogue are taken.
        exceptions: files of reviewed exceptions.
    """

    catalogue: Path
    categories: Path
    fetched: Path
    choice: Choice = field(default_factory=Choice)
    exceptions: tuple[Path, ...] = ()


def read_choice(path: Path) -> Choice:
    """Return a choice of lists from its file.

    Raises:
        ListError: it cannot be read, or is none.
    """
    try:
        found = json.loads(path.read_bytes())
        sets, add, remove = found["sets"], found["add"], found["remove"]
        return Choice(None if sets is None else _words(sets), _words(add), _words(remove))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ListError(f"no choice of lists: {error}", file=path) from error


def _words(found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise TypeError("a list of words is missing")
    return tuple(found)


def bundle_in_force(folder: Path) -> Path | None:
    """Return the folder of the bundle in force, None when none is."""
    try:
        home = folder / (folder / IN_FORCE).readlink().name
    except OSError:
        return None
    return home if home.is_dir() else None
