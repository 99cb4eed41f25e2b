"""Sorts more records than fit in memory: sorted runs on disk, merged as a stream.

A record is an index key, a zero byte, and one entry of four bytes. The zero byte is less than any length
byte, so records sort as their keys do, and a name directly before everything below it.
"""

from __future__ import annotations

import heapq
import struct
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Final

RUN: Final = 250_000  # records held in memory, about 25 MB
_BLOCK: Final = 4096  # records in a block of a run's file
_HEADER: Final = struct.Struct("<II")


class Sorter:
    """Takes records in any order, gives them back sorted.

    Args:
        folder: an existing folder for the runs, on a disk with room for all records.
        run: how many records to hold in memory.
        dropped: called with each record that was already there; one copy of it is kept.
    """

    def __init__(self, folder: Path, dropped: Callable[[bytes], object], *, run: int = RUN) -> None:
        self._count = 0  # records in the runs, and their length
        self._size = 0
        self._folder = folder
        self._dropped = dropped
        self._run = run
        self._records: list[bytes] = []
        self._runs: list[Path] = []

    def extend(self, records: Iterable[bytes]) -> None:
        """Take records.

        Raises:
            OSError: a run cannot be written.
        """
        held = self._records
        take = held.append
        room = self._run - len(held)
        for record in records:
            take(record)
            room -= 1
            if not room:
                self._spill()
                room = self._run

    @property
    def count(self) -> int:
        """Records taken; what was found to be there already within one run is no longer among them."""
        return self._count + len(self._records)

    @property
    def size(self) -> int:
        """Length of these records in all, in bytes."""
        return self._size + sum(map(len, self._records))

    def merged(self) -> Iterator[bytes]:
        """Yield every record once, sorted. Ends the use of this sorter.

        Raises:
            OSError: a run cannot be written or read.
        """
        if not self._runs:
            yield from self._take()
            return
        if self._records:
            self._spill()
        last = b""
        for record in heapq.merge(*(_read(path) for path in self._runs)):
            if record == last:
                self._dropped(record)
            else:
                yield record
                last = record

    def _take(self) -> list[bytes]:
        """Return what is held, sorted, each record once, and hold nothing."""
        records = sorted(self._records)
        self._records.clear()
        unique = records[:1]
        for before, record in pairwise(records):
            if before == record:
                self._dropped(record)
            else:
                unique.append(record)
        return unique

    def _spill(self) -> None:
        path = self._folder / f"run-{len(self._runs):05d}"
        self._runs.append(path)
        records = self._take()
        self._count += len(records)
        self._size += sum(map(len, records))
        _write(path, records)


def _write(path: Path, records: list[bytes]) -> None:
    with path.open("wb") as file:
        for start in range(0, len(records), _BLOCK):
            block = records[start : start + _BLOCK]
            data = b"".join(block)
            file.write(_HEADER.pack(len(block), len(data)))
            array("H", map(len, block)).tofile(file)
            file.write(data)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while header := file.read(_HEADER.size):
            count, size = _HEADER.unpack(header)
            lengths = array("H")
            lengths.fromfile(file, count)
            data = file.read(size)
            for start, end in pairwise(accumulate(lengths, initial=0)):
                yield data[start:end]
