"""Bundles on a box: what was taken from the one in force and the one before, and why another was refused.

    <folder>/state.json       serial in force, what the server called it, what was refused and why
    <folder>/<serial>/        the parts of a bundle, under their names
    <folder>/current          link to the one in force, moved by one rename
    <folder>/part             a transfer that may be interrupted

An older serial is never taken, so that nobody who holds an old bundle can bring it back.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from filterd.errors import BundleError
from filterd.lists import partfile
from filterd.lists.building import sync
from filterd.lists.bundle import Opened, contents
from filterd.lists.papers import IN_FORCE, bundle_in_force
from filterd.lists.shelf import write_atomically

KEEP: Final = 2  # the bundle in force, and the one before
_STATE: Final = "state.json"
_NEW: Final = ".new-"


@dataclass(frozen=True, slots=True)
class BundleState:
    """What is known of the bundles of a box.

    Attributes:
        serial: of the one in force, 0: none is.
        digest: its identity.
        region, made_at: as its header says.
        applied_at: UTC seconds.
        url, etag, last_modified: of the file that was fetched last.
        tried_at: UTC seconds of the last try.
        refused: serial of the bundle that was refused last, 0: none was since.
        why: why it was, or why none came; empty when the last try was good.
    """

    serial: int = 0
    digest: str = ""
    region: str = ""
    made_at: int = 0
    applied_at: int = 0
    url: str = ""
    etag: str = ""
    last_modified: str = ""
    tried_at: int = 0
    refused: int = 0
    why: str = ""


_ADAPTER: Final = TypeAdapter(BundleState)


@dataclass(frozen=True, slots=True)
class BundleStore:
    """The folder of bundles."""

    folder: Path

    @property
    def part(self) -> Path:
        """Where a transfer is gathered."""
        return self.folder / "part"

    @property
    def aside(self) -> Path:
        """A bundle that was signed rightly and refused for another reason, to be looked at again."""
        return self.folder / "refused.bundle"

    def put_aside(self, path: Path) -> None:
        """Keep a bundle for another look.

        Raises:
            BundleError: it cannot be moved.
        """
        if path != self.aside:
            with _written(self.aside):
                path.replace(self.aside)
            partfile.discard(self.part)

    def forget_transfers(self) -> None:
        """Remove what was transferred: it is in force, or of no use."""
        partfile.discard(self.part)
        self.aside.unlink(missing_ok=True)

    def state(self) -> BundleState:
        """Return what is known; nothing when it cannot be read."""
        try:
            return _ADAPTER.validate_json((self.folder / _STATE).read_bytes())
        except (OSError, ValidationError):
            return BundleState()

    def make(self) -> None:
        """Make the folder, for its owner only.

        Raises:
            BundleError: it cannot be made.
        """
        with _written(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def save(self, state: BundleState) -> None:
        """Write what is known.

        Raises:
            BundleError: it cannot be written.
        """
        self.make()
        with _written(self.folder):
            write_atomically(self.folder / _STATE, _ADAPTER.dump_json(state, indent=1))

    def current(self) -> Path | None:
        """Return the folder of the bundle in force, None when none is."""
        return bundle_in_force(self.folder)

    def is_new(self, opened: Opened) -> bool:
        """Return whether a bundle is newer than the one in force; the very same one is not.

        Raises:
            BundleError: it is older, or another one with the serial in force.
        """
        state, serial = self.state(), opened.header.serial
        if serial == state.serial and opened.digest == state.digest:
            return False
        if serial <= state.serial:
            what = "another one of that serial is" if serial == state.serial else f"{state.serial} is"
            raise BundleError(f"bundle {serial} is not newer: {what} in force", remedy="raise the serial")
        return True

    @contextmanager
    def unpacked(self, opened: Opened) -> Iterator[Path]:
        """Give a folder with the parts of a bundle, each checked; it goes at the end unless `keep` took it.

        Raises:
            BundleError: a part is not what the header says, or the folder cannot be written.
        """
        self.make()
        with _written(self.folder):
            for left in self.folder.glob(f"{_NEW}*"):
                shutil.rmtree(left, ignore_errors=True)
            place = Path(tempfile.mkdtemp(prefix=_NEW, dir=self.folder))
        try:
            with _written(place):
                for part, blocks in contents(opened):
                    path = place.joinpath(*part.name.split("/"))
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.open("xb") as file:
                        for block in blocks:
                            file.write(block)
                        file.flush()
                        os.fsync(file.fileno())
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def keep(self, place: Path, serial: int) -> Path:
        """Give an unpacked bundle its name; not in force yet.

        Raises:
            BundleError: it cannot be put there.
        """
        home = self.folder / str(serial)
        with _written(home):
            shutil.rmtree(home, ignore_errors=True)
            sync(place)
            place.rename(home)
            sync(self.folder)
        return home

    def switch(self, home: Path | None) -> None:
        """Put a kept bundle in force by one rename; None: none is.

        Raises:
            BundleError: the link cannot be moved.
        """
        link = self.folder / f".{IN_FORCE}-{os.getpid()}"
        with _written(self.folder):
            if home is None:
                (self.folder / IN_FORCE).unlink(missing_ok=True)
            else:
                link.unlink(missing_ok=True)
                link.symlink_to(home.name)
                link.replace(self.folder / IN_FORCE)
            sync(self.folder)

    def prune(self) -> None:
        """Remove all but the newest kept bundles, never the one in force."""
        now = self.current()
        homes = sorted(
            (one for one in self.folder.iterdir() if one.name.isdecimal()), key=lambda one: int(one.name)
        )
        for home in homes[:-KEEP]:
            if now is None or home.name != now.name:
                shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _written(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BundleError(
            f"{place} cannot be written: {error.strerror or error}", remedy="check space and permissions"
        ) from error
