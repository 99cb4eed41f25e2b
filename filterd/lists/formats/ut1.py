"""The category folders of Université Toulouse: ``domains``, ``urls``, expressions and ``usage``.

Only ``domains`` can be expressed in DNS. URLs and expressions are counted line by line, so that coverage is
never faked: what a folder holds and what this program can do with it stand side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from filterd.lists.formats.lines import blocks, numbered
from filterd.lists.formats.reader import Guard, parse_blocks
from filterd.lists.rule import SUBTREE, Fault, Reason, Rejected, Rule, shown

_INEXPRESSIBLE: Final = {
    "urls": Reason.URL,
    "expressions": Reason.REGEX,
    "very_restrictive_expression": Reason.REGEX,
}
FILES: Final = ("domains", *_INEXPRESSIBLE)  # in the order they are read
_MAX_USAGE: Final = 4096  # bytes


def parse_ut1(
    folder: Path,
    *,
    scope: int = SUBTREE,
    guard: Guard | None = None,
    seen: Callable[[bytes], object] = lambda _block: None,
) -> Iterator[tuple[int, Rule | Rejected]]:
    """Yield (line number, what it says) for the files of one category folder.

    Args:
        folder: the folder; a file that it lacks is taken as empty.
        scope: what a name means.
        guard: returns the reason why a name may not stand in this list, or None.
        seen: called with every block read, for a checksum.

    Raises:
        OSError: a file is there and cannot be read.
    """
    for number, item in parse_blocks(_blocks(folder / "domains", seen), "domains", scope=scope, guard=guard):
        yield number, item._replace(file="domains") if isinstance(item, Rejected) else item
    for name, reason in _INEXPRESSIBLE.items():
        for number, line in numbered(_blocks(folder / name, seen)):
            if isinstance(line, Fault):
                yield number, line.at(number)._replace(file=name)
            elif line:
                yield number, Rejected(number, 1, shown(line), reason, name)


def usage(folder: Path) -> tuple[str, ...]:
    """Return the words of the folder's ``usage`` file: ``black``, ``white`` and names of the category.

    Lists that are only ``white`` were made to be allowed. Unreadable or missing: no words.
    """
    try:
        with (folder / "usage").open("rb") as file:
            text = file.read(_MAX_USAGE)
    except OSError:
        return ()
    lines = (line.partition(b"#")[0].strip() for line in text.split(b"\n"))
    return tuple(shown(line) for line in lines if line)


def _blocks(path: Path, seen: Callable[[bytes], object]) -> Iterator[bytes]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for block in blocks(file):
            seen(block)
            yield block
