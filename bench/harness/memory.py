"""What memory a server holds, from /proc/PID/smaps.

Figures in MiB over all processes of the server:
``private``  pages of one process alone, anonymous or of program files: what another worker would cost again
``largest``  the same of the process that has most of it: the worker
``mapped``   resident pages of mapped data files (an LMDB index), counted once, whoever maps them
``shared``   pages of programs and libraries that other processes map too
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_DATA = (".mdb",)  # the data files that servers here map: filterd's index, Knot Resolver's cache
_MIB = 1024  # smaps counts in KiB


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory in MiB; the module docstring says what each figure is."""

    private: float
    largest: float
    mapped: float
    shared: float


@dataclass(slots=True)
class _Mapping:
    path: str
    resident: int = 0
    private: int = 0
    shared: int = 0


def parse_smaps(lines: Iterable[str]) -> Iterator[tuple[str, int, int, int]]:
    """Yield path, resident, private and shared KiB of each mapping of an smaps file (proc(5))."""
    mapping: _Mapping | None = None
    for line in lines:
        word, _, rest = line.partition(" ")
        if not word.endswith(":"):
            if mapping is not None:
                yield mapping.path, mapping.resident, mapping.private, mapping.shared
            fields = rest.split(maxsplit=4)
            mapping = _Mapping(fields[4].rstrip() if len(fields) > 4 else "")
        elif mapping is not None:
            if word == "Rss:":
                mapping.resident = int(rest.split()[0])
            elif word.startswith("Private_"):
                mapping.private += _kib(word, rest)
            elif word.startswith("Shared_"):
                mapping.shared += _kib(word, rest)
    if mapping is not None:
        yield mapping.path, mapping.resident, mapping.private, mapping.shared


def _kib(word: str, rest: str) -> int:
    return 0 if word.endswith("Hugetlb:") else int(rest.split(maxsplit=1)[0])


def process_memory(pid: int) -> tuple[float, dict[str, float], float]:
    """Return private MiB, mapped MiB by data file, and shared MiB of one process; nothing once it is gone."""
    private = shared = 0.0
    mapped: dict[str, float] = {}
    try:
        text = Path(f"/proc/{pid}/smaps").read_text("utf-8", "replace")
    except OSError:
        return 0.0, {}, 0.0
    for path, resident, own, common in parse_smaps(text.splitlines()):
        if path.endswith(_DATA):
            mapped[path] = mapped.get(path, 0.0) + resident / _MIB
        else:
            private += own / _MIB
            shared += common / _MIB
    return private, mapped, shared


def memory_of(pids: Iterable[int]) -> Memory:
    """Return the memory of a server that consists of these processes."""
    private = largest = shared = 0.0
    mapped: dict[str, float] = {}
    for pid in pids:
        own, files, common = process_memory(pid)
        private, largest = private + own, max(largest, own)
        shared = max(shared, common)
        for path, size in files.items():
            mapped[path] = max(mapped.get(path, 0.0), size)
    return Memory(round(private, 1), round(largest, 1), round(sum(mapped.values()), 1), round(shared, 1))
