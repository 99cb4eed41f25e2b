"""The fetched lists on this box: for each one the last good copy, the copy that was refused, and why.

    <folder>/<list id>/state.json       what is known of it; the one switch: a copy counts when this names it
    <folder>/<list id>/<copy>/          the texts of a copy, under names of our own
    <folder>/<list id>/part, part.json  a transfer that was interrupted

Whatever fails here leaves the last good copy as it was. Only `lists/update.py` and the bundle write.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from filterd.errors import ListError
from filterd.lists.building import sync
from filterd.lists.catalogue import ListSource
from filterd.lists.formats.ut1 import FILES

STATE: Final = "state.json"
PART: Final = "part"
TEXT: Final = "list"  # the text of a list that is one file
TEXTS: Final = (*FILES, "usage")  # those of a list that is a folder
_NEW: Final = ".new-"


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a list, as it was fetched.

    Attributes:
        name: of its folder.
        sha256: of its text, in hex, as the compiler counts it.
        entries: rules in it.
        rejected: lines that gave none.
        size: bytes of its text.
        fetched_at: UTC seconds when it came.
        confirmed_at: UTC seconds when its source last said that it is still the newest.
        url: where it came from.
        etag, last_modified: what the server called it (RFC 9110 section 8.8), for the next request.
        popular: popular sites that it names beyond what its category expects.
        popular_of: which file of popular sites that was found with.
    """

    name: str
    sha256: str
    entries: int
    rejected: int
    size: int
    fetched_at: int
    confirmed_at: int
    url: str = ""
    etag: str = ""
    last_modified: str = ""
    popular: tuple[str, ...] = ()
    popular_of: str = ""


@dataclass(frozen=True, slots=True)
class ListState:
    """What is known of a list.

    Attributes:
        good: the copy that is compiled; None before the first.
        refused: the copy that the gate refused last, kept until a better one comes or a person accepts it.
        problems: why it was refused, one sentence each.
        failed: why the last try brought nothing, empty when it did.
        failures: tries in a row that brought nothing good.
        tried_at: UTC seconds of the last try, 0: never.
    """

    good: Copy | None = None
    refused: Copy | None = None
    problems: tuple[str, ...] = ()
    failed: str = ""
    failures: int = 0
    tried_at: int = 0

    @property
    def trouble(self) -> str:
        """Why the last try did not give a new good copy or confirm the old one; empty when it did."""
        return self.failed or "; ".join(self.problems)

    @property
    def seen(self) -> Copy | None:
        """The copy that the source had when it was last asked."""
        return self.refused or self.good


_STATE: Final = TypeAdapter(ListState)


def state_json(state: ListState) -> bytes:
    """Return a state as the shelf keeps it."""
    return _STATE.dump_json(state, indent=1)


@dataclass(frozen=True, slots=True)
class Shelf:
    """The folder of fetched lists."""

    folder: Path

    def state(self, list_id: str) -> ListState:
        """Return what is known of a list; nothing when its state cannot be read."""
        try:
            return _STATE.validate_json((self.folder / list_id / STATE).read_bytes())
        except (OSError, ValidationError):
            return ListState()

    def save(self, list_id: str, state: ListState) -> None:
        """Write what is known of a list, and remove the copies that it no longer names.

        Raises:
            ListError: it cannot be written.
        """
        home = self.folder / list_id
        with written(home):
            home.mkdir(parents=True, exist_ok=True)
            write_atomically(home / STATE, state_json(state))
            kept = {one.name for one in (state.good, state.refused) if one is not None}
            for entry in home.iterdir():
                if entry.is_dir() and entry.name not in kept:
                    shutil.rmtree(entry, ignore_errors=True)

    def path(self, source: ListSource, copy: Copy) -> Path:
        """Return the file of a copy, its folder for format ``ut1``."""
        return self.within(source, self.folder / source.id / copy.name)

    @staticmethod
    def within(source: ListSource, place: Path) -> Path:
        """Return what the compiler reads of a copy that stands in a folder."""
        return place if source.format == "ut1" else place / TEXT

    def part(self, list_id: str) -> Path:
        """Return where a transfer is gathered.

        Raises:
            ListError: the folder cannot be made.
        """
        home = self.folder / list_id
        with written(home):
            home.mkdir(parents=True, exist_ok=True)
        return home / PART

    @contextmanager
    def place(self, list_id: str) -> Iterator[Path]:
        """Give an empty folder for a new copy; what is not kept by `keep` is removed at the end."""
        home = self.folder / list_id
        with written(home):
            home.mkdir(parents=True, exist_ok=True)
            for left in home.glob(f"{_NEW}*"):
                shutil.rmtree(left, ignore_errors=True)
            place = Path(tempfile.mkdtemp(prefix=_NEW, dir=home))
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def keep(self, list_id: str, place: Path, copy: Copy) -> Copy:
        """Give a finished copy its name; it counts once a state names it.

        Raises:
            ListError: it cannot be put there.
        """
        home = self.folder / list_id
        with written(home):
            for text in place.iterdir():
                sync(text)
            sync(place)
            number = max((int(one.name) for one in home.iterdir() if one.name.isdecimal()), default=0) + 1
            place.rename(home / str(number))
            sync(home)
        return replace(copy, name=str(number))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the shelf: one update at a time.

        Raises:
            ListError: another one is running, or the folder cannot be used.
        """
        with written(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = (self.folder / ".lock").open("ab")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ListError(
                    "another update is running", file=self.folder, remedy="wait for it to end"
                ) from error
            yield


@contextmanager
def written(place: Path) -> Iterator[None]:
    """Turn a failure to write into a ListError that names the place."""
    try:
        yield
    except OSError as error:
        raise ListError(
            f"cannot be written: {error.strerror or error}", file=place, remedy="check space and permissions"
        ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all, durable before it is seen.

    Raises:
        OSError: it cannot be written; the old one stays.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
