"""A list with its text -> rules, rejected lines and its checksum: the one way for compiler, gate and reports.

Streams; goes on after any bad line. Never decides whether a list is good.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

from filterd.errors import ListError
from filterd.lists.catalogue import Material
from filterd.lists.formats import parse_blocks, parse_ut1
from filterd.lists.formats.lines import blocks
from filterd.lists.formats.ut1 import FILES
from filterd.lists.guard import guard
from filterd.lists.rule import EXACT, SUBTREE, Rejected, Rule

Numbered = Iterator[tuple[int, Rule | Rejected]]
Seen = Callable[[bytes], object]


def rules_of(material: Material, seen: Seen = lambda _block: None) -> Numbered:
    """Yield (line number, what it says) for a list.

    Args:
        material: the list; it must have a text.
        seen: called with every block of the text, for a checksum.

    Raises:
        OSError: its text cannot be read.
    """
    source, path = material.source, material.path
    scope = EXACT if source.scope == "exact" else SUBTREE
    refuse = guard(source.allowed_suffixes)
    if material.text is not None:
        texts = _seen((material.text,), seen)
        yield from parse_blocks(texts, source.format, scope=scope, guard=refuse)
    elif path is None:
        return
    elif source.format == "ut1":
        if not path.is_dir():
            raise NotADirectoryError(f"{path} is not a folder")
        yield from parse_ut1(path, scope=scope, guard=refuse, seen=seen)
    else:
        with path.open("rb") as file:
            yield from parse_blocks(_seen(blocks(file), seen), source.format, scope=scope, guard=refuse)


def checksum(material: Material) -> str:
    """Return the SHA-256 that reading the list finds, in hex; empty for a list that was not fetched yet.

    Raises:
        ListError: its text cannot be read.
    """
    total = hashlib.sha256()
    if material.text is not None:
        total.update(material.text)
        return total.hexdigest()
    path = material.path
    if path is None:
        return ""
    folder = material.source.format == "ut1"
    try:
        for one in [path / name for name in FILES] if folder else [path]:
            if folder and not one.exists():
                continue
            with one.open("rb") as file:
                for block in blocks(file):
                    total.update(block)
    except OSError as error:
        raise unreadable(material, error) from error
    return total.hexdigest()


def unreadable(material: Material, error: OSError) -> ListError:
    """Return the error to raise when a list's text cannot be read."""
    return ListError(
        f"list {material.source.id!r} cannot be read: {error.strerror or error}",
        file=material.path,
        remedy="check its path and permissions in the catalogue, or set `enabled: false`",
    )


def _seen(source: Iterable[bytes], seen: Seen) -> Iterator[bytes]:
    for block in source:
        seen(block)
        yield block
