"""Versions of the index beside each other, and the one in use.

The folder holds one folder a version with ``index.mdb`` and ``report.json``, and the link ``current``. A
version is complete before it gets its name, the link moves by one rename, and what a server has mapped stays
valid after its version is removed: so an index is switched while it serves, and rolled back the same way.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from filterd.errors import DomainIndexError, ListError
from filterd.lists.building import sync
from filterd.rules.index import Index

KEEP: Final = 3  # versions kept: the one in use, and two to go back to
INDEX: Final = "index.mdb"
REPORT: Final = "report.json"
_CURRENT: Final = "current"
_BUILDING: Final = ".building-"
_VERSION: Final = re.compile(r"(\d{6,})-[0-9a-f]{8}")


def versions(folder: Path) -> tuple[str, ...]:
    """Return the complete versions, oldest first."""
    try:
        found = [entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return ()
    return tuple(sorted((name for name in found if _VERSION.fullmatch(name)), key=_sequence))


def current(folder: Path) -> Path | None:
    """Return the index in use as ``<folder>/<version>/index.mdb``, None before the first one."""
    try:
        version = (folder / _CURRENT).readlink()
    except OSError:
        return None
    path = folder / version / INDEX
    return path if path.is_file() else None


def current_version(folder: Path) -> str | None:
    """Return the version in use, None before the first one."""
    path = current(folder)
    return None if path is None else path.parent.name


def activate(folder: Path, version: str) -> Path:
    """Make a version the one in use, after opening it as a server will.

    Returns:
        Its index.

    Raises:
        ListError: there is no such version, or the link cannot be moved.
        DomainIndexError: its index is damaged; the one in use stays.
    """
    if version not in versions(folder):
        raise ListError(
            f"no version {version!r}", remedy=f"there are: {', '.join(versions(folder)) or 'none yet'}"
        )
    path = folder / version / INDEX
    Index.open(path).close()
    link = folder / f".{_CURRENT}-{os.getpid()}"
    try:
        link.unlink(missing_ok=True)
        link.symlink_to(version)
        link.replace(folder / _CURRENT)
        sync(folder)
    except OSError as error:
        raise ListError(f"cannot switch to {version}: {error.strerror or error}", file=folder) from error
    return path


def roll_back(folder: Path) -> str:
    """Go back to the version before the one in use, and return it.

    Raises:
        ListError: there is none.
        DomainIndexError: it is damaged; the one in use stays.
    """
    now = current_version(folder)
    older = [
        version for version in versions(folder) if now is not None and _sequence(version) < _sequence(now)
    ]
    if not older:
        raise ListError("there is no older version to go back to", file=folder)
    activate(folder, older[-1])
    return older[-1]


def next_sequence(folder: Path) -> int:
    """Return the number for a new version: numbers and not times, because a box's clock may jump."""
    return max((_sequence(version) for version in versions(folder)), default=0) + 1


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """Give an empty folder to build a version in; what is left in it is removed at the end.

    Only one may build at a time; what an interrupted build left is cleared.

    Raises:
        ListError: another build is running, or the folder cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("ab")
    except OSError as error:
        raise ListError(
            f"cannot be used: {error.strerror or error}", file=folder, remedy="check its permissions"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ListError(
                "another compilation is running", file=folder, remedy="wait for it to end"
            ) from error
        for left in folder.glob(f"{_BUILDING}*"):
            shutil.rmtree(left, ignore_errors=True)
        for link in folder.glob(f".{_CURRENT}-*"):
            link.unlink(missing_ok=True)
        place = Path(mkdtemp(prefix=_BUILDING, dir=folder))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def install(folder: Path, place: Path, version: str) -> None:
    """Give a finished build its name.

    Raises:
        DomainIndexError: it cannot be put there.
    """
    try:
        place.chmod(0o755)
        sync(place)
        place.rename(folder / version)
        sync(folder)
    except OSError as error:
        raise DomainIndexError(f"{folder / version} cannot be made: {error.strerror or error}") from error


def prune(folder: Path, keep: int = KEEP) -> tuple[str, ...]:
    """Remove the oldest versions beyond ``keep``, never the one in use; return what was removed."""
    in_use = current_version(folder)
    removed = []
    for version in versions(folder)[: -keep or None]:
        if version != in_use:
            shutil.rmtree(folder / version, ignore_errors=True)
            removed.append(version)
    return tuple(removed)


def _sequence(version: str) -> int:
    match = _VERSION.fullmatch(version)
    return int(match[1]) if match else 0
