"""Text of a list -> numbered lines, whatever state the text is in.

Streams: memory is bounded by the block size and the longest line allowed, never by the file. Knows no format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from filterd.lists.rule import Fault, Reason

BLOCK: Final = 1 << 18  # bytes read at a time
MAX_LINE: Final = 16_384  # bytes; the longest line seen in a real list has 11,782
_BOM: Final = b"\xef\xbb\xbf"


def blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield what the stream holds, BLOCK bytes at a time."""
    while block := stream.read(BLOCK):
        yield block


def numbered(source: Iterable[bytes]) -> Iterator[tuple[int, bytes | Fault]]:
    r"""Yield (1-based number, line) without line ends, trailing blanks and byte order marks.

    Lines end with LF or CRLF; the last one may have no end. A line over MAX_LINE comes as a Fault; so does
    one with a CR inside, where it cannot be known whether one line or two were meant. An editor that joined
    files leaves a byte order mark on any line, not only on the first.
    """
    number = 0
    rest = b""
    skipping = False  # inside a line that was already reported as too long
    for block in source:
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        for line in lines:
            number += 1
            if skipping:
                skipping = False
                continue
            yield number, _clean(line)
        if skipping:
            rest = b""
        elif len(rest) > MAX_LINE:
            yield number + 1, _too_long(rest)
            rest, skipping = b"", True
    if rest:
        yield number + 1, _clean(rest)


def _clean(line: bytes) -> bytes | Fault:
    if len(line) > MAX_LINE:
        return _too_long(line)
    line = line.rstrip()
    if line[:1] == b"\xef" and line.startswith(_BOM):
        line = line[len(_BOM) :]
    if b"\r" in line:
        return Fault(line.index(b"\r"), line, Reason.BARE_CR)
    return line


def _too_long(line: bytes) -> Fault:
    return Fault(MAX_LINE, line[:MAX_LINE], Reason.TOO_LONG)
