"""Writes the index file: names in order into LMDB, in memory that does not grow with them.

Leaves behind a complete file, synced and read-only, or none.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

import lmdb

from filterd.errors import DomainIndexError

_BATCH: Final = 100_000  # names in one transaction: its changed pages stay in memory until the commit
_NODE: Final = 16  # bytes that LMDB adds to a key and its value, at most
_SPARE: Final = 1 << 22  # bytes: tree pages, free list, meta


class IndexWriter:
    """One index file under construction. Use as a context; ``finish`` makes it last.

    Args:
        path: where the file shall stand; must not exist.
        names: upper bound of the number of names.
        size: upper bound of the bytes of all keys and values.

    Raises:
        DomainIndexError: it cannot be created.
    """

    def __init__(self, path: Path, *, names: int, size: int) -> None:
        self._path = path
        # Pages filled in order are nearly full; a quarter more is room for the branches above them.
        room = (size + names * _NODE) * 5 // 4 + _SPARE
        try:
            self._environment: Any = lmdb.open(
                str(path), subdir=False, lock=False, sync=False, max_dbs=0, map_size=room, mode=0o644
            )
        except (lmdb.Error, OSError) as error:
            raise _unwritable(path, error) from error
        self._finished = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._environment.close()
        if not self._finished:
            with suppress(OSError):
                self._path.unlink()

    def write(self, items: Iterable[tuple[bytes, bytes]]) -> Iterator[int]:
        """Append items, sorted by key; yield how many names are written after each batch.

        Raises:
            DomainIndexError: the disk is full or failing, or the items are not in order.
        """
        rest = iter(items)
        written = 0
        while batch := list(islice(rest, _BATCH)):
            try:
                with self._environment.begin(write=True) as transaction:
                    _consumed, added = transaction.cursor().putmulti(batch, append=True)
            except lmdb.Error as error:
                raise _unwritable(self._path, error) from error
            if added != len(batch):  # LMDB leaves out a key that is not greater than the one before
                raise DomainIndexError(f"{self._path}: names out of order", remedy="report this")
            written += len(batch)
            yield written

    def finish(self, meta_key: bytes, meta: bytes) -> int:
        """Write what the index says about itself, sync file and folder, make it read-only.

        Returns:
            The size of the file in bytes.

        Raises:
            DomainIndexError: the disk is full or failing.
        """
        try:
            with self._environment.begin(write=True) as transaction:
                transaction.put(meta_key, meta)
            self._environment.sync(True)
            self._environment.close()
            sync(self._path)
            self._path.chmod(0o444)
            sync(self._path.parent)
        except (lmdb.Error, OSError) as error:
            raise _unwritable(self._path, error) from error
        self._finished = True
        return self._path.stat().st_size


def sync(path: Path) -> None:
    """Make what was written to a file, or renamed in a folder, survive a power cut.

    Raises:
        OSError: it could not be done.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: Exception) -> DomainIndexError:
    return DomainIndexError(
        f"{path} cannot be written: {error}", remedy="check free space and permissions of that folder"
    )
