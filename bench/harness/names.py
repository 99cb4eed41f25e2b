"""The lists that every peer is given: names of real blocklists, then names derived from them.

Names are ordered by a hash, so the first ten thousand are a fair sample of all lists, and a longer list holds
every shorter one. No name of a list lies under another, so every peer holds the same number of entries.
Never fetches anything, and writes only below the folder it is given.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from publicsuffixlist import PublicSuffixList

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])")
_MAX_NAME = 230  # leaves room for a label before the name (RFC 1035: 253)
_DERIVED_FROM = 2  # the first number behind a derived label: example.kz, example-2.kz
_ALLOW_LISTS = frozenset({"liste_blanche", "liste_bu", "exceptions_liste_bu", "shrink-events"})
_PATTERNS = (
    "ut1/*/domains",
    "ut1-history/*.domains",
    "hagezi-2022/domains/*.txt",
    "blocklistproject/hosts/*.txt",
    "stevenblack-2019/hosts",
)
_FORMAT = "1"  # of the kept files; a change of what is written here makes them anew


def is_name(text: str) -> bool:
    """Return whether the text is a lower-case domain name of two labels or more, as a list may hold it."""
    return len(text) <= _MAX_NAME and _NAME.fullmatch(text) is not None


def read_list(lines: Iterable[str]) -> Iterator[str]:
    """Yield the names of a list in domains or hosts format; what is no name is left out."""
    for line in lines:
        fields = line.partition("#")[0].split()
        if fields:
            name = fields[-1].lower().strip(".")
            if is_name(name):
                yield name


def parents(name: str) -> Iterator[str]:
    """Yield the names that the name lies under, nearest first."""
    while (dot := name.find(".")) >= 0:
        name = name[dot + 1 :]
        yield name


def covered(name: str, names: Collection[str]) -> bool:
    """Return whether the name or one of its parents is among the names."""
    return name in names or any(parent in names for parent in parents(name))


def real_names(lists: Path) -> list[str]:
    """Return every distinct name of the real lists in ``lists``, none below another, ordered by hash.

    Raises:
        FileNotFoundError: the folder holds none of the known lists.
    """
    found: set[str] = set()
    for pattern in _PATTERNS:
        for file in lists.glob(pattern):
            if _ALLOW_LISTS.isdisjoint(file.parts):
                with file.open(encoding="utf-8", errors="replace") as lines:
                    found.update(read_list(lines))
    if not found:
        raise FileNotFoundError(f"{lists} holds none of the known lists")
    suffixes = PublicSuffixList(accept_unknown=False)
    found = {name for name in found if suffixes.publicsuffix(name) != name}
    return sorted((name for name in found if not any(p in found for p in parents(name))), key=_order)


def _order(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=8).digest()


def grow(real: Collection[str], asked: Collection[str]) -> Iterator[str]:
    """Yield the real names, then without end names derived from them.

    A derived name is a sibling of a real one: its first label gets a number. A name that one of ``asked``
    lies under is never derived, so allowed questions stay allowed at every size.
    """
    yield from real
    taken = set(real)
    for name in asked:
        taken.update(parents(name), (name,))
    seeds = [name for name in real if not name.startswith("xn--")]
    for number in itertools.count(_DERIVED_FROM):
        for name in seeds:
            label, _, rest = name.partition(".")
            derived = f"{label}-{number}.{rest}"
            if is_name(derived) and derived not in taken:
                yield derived


def size_text(count: int) -> str:
    """Return 10000 as ``10k``, 5000000 as ``5m``."""
    for unit, letter in ((1_000_000, "m"), (1000, "k")):
        if count >= unit and count % unit == 0:
            return f"{count // unit}{letter}"
    return str(count)


def parse_size(text: str) -> int:
    """Return ``10k`` as 10000.

    Raises:
        ValueError: not such a number.
    """
    factor = {"k": 1000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    count = int(text[:-1] if factor > 1 else text) * factor
    if count < 1:
        raise ValueError("a list holds at least one name")
    return count


def make_lists(
    folder: Path, real: Sequence[str], asked: Collection[str], sizes: Iterable[int]
) -> dict[int, Path]:
    """Write one file a size, a name a line; files that are there already are taken as they are."""
    stamp = hashlib.sha256("\n".join([_FORMAT, *real[:1000], *sorted(asked)]).encode()).hexdigest()[:12]
    paths = {size: folder / f"{size_text(size)}-{stamp}.txt" for size in sizes}
    missing = {size: path for size, path in paths.items() if not path.exists()}
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        _write(missing, grow(real, asked))
    return paths


def _write(paths: dict[int, Path], names: Iterator[str]) -> None:
    done = 0
    before: Path | None = None
    for size, path in sorted(paths.items()):
        partial = path.with_suffix(".partial")
        with partial.open("w", encoding="ascii") as out:
            if before is not None:
                out.write(before.read_text("ascii"))
            out.writelines(f"{name}\n" for name in itertools.islice(names, size - done))
        partial.rename(path)
        done, before = size, path
