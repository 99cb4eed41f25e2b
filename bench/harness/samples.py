"""What a profile of stacks says: where CPU time goes, by function and by line.

Reads nothing but the source lines it shows.
"""

from __future__ import annotations

import linecache
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TEXT = 60  # characters of a source line
Frame = tuple[str, str, int]  # file, function, line; the innermost first


@dataclass(frozen=True, slots=True)
class Profile:
    """Counted stacks.

    Attributes:
        total: samples in all.
        own: samples by function, where it was the innermost.
        under: samples by function, where it was anywhere in the stack.
        lines: samples by line of the innermost function.
    """

    total: int
    own: Mapping[str, int]
    under: Mapping[str, int]
    lines: Mapping[str, int]


def short(path: str) -> str:
    """Return a file's path as a reader knows it: ``filterd/server/fast.py``."""
    parts = path.split("/")
    for mark, kept in (("site-packages", False), ("filterd", True)):
        if mark in parts[:-1]:
            at = len(parts) - 1 - parts[::-1].index(mark)
            return "/".join(parts[at if kept else at + 1 :])
    library = [at for at, part in enumerate(parts) if part.startswith("python3.")]
    return "/".join(parts[library[-1] :]) if library else path


def read(found: Iterable[Mapping[str, Any]]) -> Profile:
    """Return the profile of what the sampler wrote."""
    own: Counter[str] = Counter()
    under: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    total = 0
    for entry in found:
        count = int(entry["count"])
        stack: Sequence[Frame] = entry["stack"]
        total += count
        functions = [f"{short(file)}:{function}" for file, function, _ in stack]
        if not functions:
            continue
        own[functions[0]] += count
        under.update(dict.fromkeys(functions, count))
        file, _, line = stack[0]
        lines[f"{short(file)}:{line}  {linecache.getline(file, line or 0).strip()[:_TEXT]}"] += count
    return Profile(total, own, under, lines)


def top(counts: Mapping[str, int], total: int, per_query: float, count: int) -> list[list[str]]:
    """Return the largest entries as table rows: name, share, µs a query.

    Args:
        counts: samples by name.
        total: samples in all.
        per_query: CPU µs a query in all.
        count: how many rows.
    """
    largest = sorted(counts.items(), key=lambda item: -item[1])[:count]
    return [[name, f"{n / total:.1%}", f"{n / total * per_query:.2f}"] for name, n in largest if total]
