"""What was fetched -> the texts in it: plain, gzip, tar, tar in gzip; read as a stream, within bounds.

No path of an archive is ever used: a text is found by the last two parts of its member's name and handed on
under one of our own names. Links, devices and everything not asked for are read over. Memory does not grow
with what an archive claims: own readers stand here because ``tarfile`` reads a header of any size at once.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from filterd.errors import ListError
from filterd.lists.limits import Bounds

BLOCK: Final = 1 << 16
_TAR_BLOCK: Final = 512
_GZIP: Final = b"\x1f\x8b"
_MAX_NESTED: Final = 2  # a tar.gz that a server packed once more on its way
_MAX_MEMBERS: Final = 10_000
_MAX_HEADER: Final = 1 << 16  # bytes of an extended header
_MAX_NAME: Final = 4096
_RATIO_FROM: Final = 1 << 20  # bytes unpacked before the ratio says anything
_OTHERS: Final = {
    b"PK\x03\x04": "zip",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf": "7z",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a text.

    Attributes:
        file: which text, one of the names that were asked for.
        block: its next bytes; pieces of one text follow each other.
    """

    file: str
    block: bytes


def pieces(
    blocks: Iterable[bytes], *, wanted: Iterable[str], folder: str | None, bounds: Bounds
) -> Iterator[Piece]:
    """Yield the texts of a transferred file, piece by piece.

    Args:
        blocks: the file.
        wanted: names of the texts; what is no archive is the first of them.
        folder: last part of the folder they must stand in within an archive; None: any.
        bounds: how large it may become.

    Raises:
        ListError: damaged, cut, larger than allowed, or packed in a way that is not read.
    """
    names = tuple(wanted)
    reader = _Reader(_bounded(_inflated(_Reader(blocks), bounds), bounds))
    head = reader.peek(_TAR_BLOCK)
    if _is_tar_header(head):
        yield from _members(reader, names, folder)
        for _ in reader.rest():  # padding; only at its end does a packed file show that it is whole
            pass
        return
    for magic, kind in _OTHERS.items():
        if head.startswith(magic):
            raise ListError(f"packed as {kind}, which is not read", remedy="use one packed as gzip")
    for block in reader.rest():
        yield Piece(names[0], block)


class _Reader:
    """Blocks of any size as a stream that is read by the byte."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._held = b""

    def peek(self, size: int) -> bytes:
        """Return the next bytes, fewer at the end, and leave them."""
        while len(self._held) < size and (block := next(self._blocks, None)) is not None:
            self._held += block
        return self._held[:size]

    def read(self, size: int) -> bytes:
        """Return just so many bytes.

        Raises:
            ListError: it ends before.
        """
        found = self.peek(size)
        if len(found) < size:
            raise ListError("cut: the archive ends in the middle")
        self._held = self._held[size:]
        return found

    def upto(self, size: int) -> Iterator[bytes]:
        """Yield the next bytes as they come; raises ListError as `read`."""
        while size:
            block = self.peek(1) and self._held
            if not block:
                raise ListError("cut: the archive ends in the middle")
            taken, self._held = block[:size], block[size:]
            size -= len(taken)
            yield taken

    def skip(self, size: int) -> None:
        """Read over so many bytes; raises ListError as `read`."""
        for _ in self.upto(size):
            pass

    def rest(self) -> Iterator[bytes]:
        """Yield all that is left."""
        while self.peek(1):
            block, self._held = self._held, b""
            yield block


def _inflated(reader: _Reader, bounds: Bounds) -> Iterator[bytes]:
    for _ in range(_MAX_NESTED):
        if not reader.peek(2).startswith(_GZIP):
            break
        reader = _Reader(_gunzip(reader.rest(), bounds))
    if reader.peek(2).startswith(_GZIP):
        raise ListError("packed within packed within packed")
    yield from reader.rest()


def _bounded(blocks: Iterable[bytes], bounds: Bounds) -> Iterator[bytes]:
    size = lines = 0
    for block in blocks:
        size += len(block)
        lines += block.count(b"\n")
        if size > bounds.max_unpacked:
            raise ListError(f"more than {bounds.max_unpacked >> 20} MiB when unpacked")
        if lines > bounds.max_lines:
            raise ListError(f"more than {bounds.max_lines} lines")
        yield block


def _gunzip(blocks: Iterable[bytes], bounds: Bounds) -> Iterator[bytes]:
    """Unpack gzip (RFC 1952), one member after the other, a block at a time."""
    engine = None
    taken = given = 0
    for block in blocks:
        taken += len(block)
        data = block
        while data:
            if engine is None:
                if not data.strip(b"\0"):
                    break  # what pads the last member
                engine = zlib.decompressobj(wbits=31)
            for out in _inflated_block(engine, data):
                given += len(out)
                if given > _RATIO_FROM and given > taken * bounds.max_ratio:
                    raise ListError(f"unpacks to more than {bounds.max_ratio} times its size")
                yield out
            data = b""
            if engine.eof:
                data, engine = engine.unused_data, None
    if engine is not None:
        raise ListError("cut: the packed file ends in the middle")


def inflate(engine: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """Yield what packed bytes unpack to, at most BLOCK bytes at a time.

    Raises:
        zlib.error: they are damaged.
    """
    while True:
        out = engine.decompress(data, BLOCK)
        if out:
            yield out
        data = engine.unconsumed_tail
        if engine.eof or (not data and len(out) < BLOCK):
            return


def _inflated_block(engine: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    try:
        yield from inflate(engine, data)
    except zlib.error as error:
        raise ListError(f"damaged: {error}") from error


def _is_tar_header(block: bytes) -> bool:
    """Return whether 512 bytes carry the checksum of a tar header (POSIX ustar)."""
    if len(block) < _TAR_BLOCK or not block.strip(b"\0"):
        return False
    told = _number(block[148:156])
    return told is not None and told == sum(block) - sum(block[148:156]) + 8 * ord(" ")


def _number(field: bytes) -> int | None:
    """Return an octal field, or GNU's base 256; None when it is neither."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.strip(b"\0 ") or b"0", 8)
    except ValueError:
        return None


def _members(reader: _Reader, wanted: tuple[str, ...], folder: str | None) -> Iterator[Piece]:
    seen: set[str] = set()
    told: dict[str, str] = {}  # what extended headers said of the member that follows
    for _ in range(_MAX_MEMBERS):
        block = reader.peek(_TAR_BLOCK)
        if len(block) < _TAR_BLOCK or not block.strip(b"\0"):
            _check_end(block, seen)
            return
        header = reader.read(_TAR_BLOCK)
        size = _number(header[124:136])
        if not _is_tar_header(header) or size is None or size < 0:
            raise ListError("damaged: not a header of an archive")
        kind = header[156:157]
        padding = -size % _TAR_BLOCK
        if kind in (b"L", b"x"):
            if size > _MAX_HEADER:
                raise ListError("damaged: a header of an archive is too large")
            told |= _extended(kind, reader.read(size))
            reader.skip(padding)
            continue
        if kind == b"S" or "size" in told:
            raise ListError("packed with holes or a size that is not read")
        name = told.get("path") or _name(header)
        told.clear()
        file = _asked_for(name, wanted, folder) if kind in (b"0", b"\0", b"7") else None
        if file is None or file in seen:
            reader.skip(size + padding)
            continue
        seen.add(file)
        for data in reader.upto(size):
            yield Piece(file, data)
        reader.skip(padding)
    raise ListError(f"more than {_MAX_MEMBERS} members in the archive")


def _check_end(block: bytes, seen: set[str]) -> None:
    if len(block) < _TAR_BLOCK:
        raise ListError("cut: the archive ends in the middle")
    if not seen:
        raise ListError("the archive holds none of the files that were looked for")


def _extended(kind: bytes, content: bytes) -> dict[str, str]:
    """Return what an extended header says of the next member: GNU's long name, or pax records."""
    if kind == b"L":
        return {"path": _text(content[:_MAX_NAME])}
    told = {}
    for record in content.split(b"\n"):
        key, _, value = record.partition(b" ")[2].partition(b"=")
        if key in (b"path", b"size"):
            told[key.decode()] = _text(value[:_MAX_NAME])
    return told


def _name(header: bytes) -> str:
    name = _text(header[:100])
    if header[257:263] != b"ustar\0":  # GNU's old format keeps other things where ustar has the prefix
        return name
    return f"{_text(header[345:500])}/{name}"


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "backslashreplace")


def _asked_for(name: str, wanted: tuple[str, ...], folder: str | None) -> str | None:
    """Return which of the wanted texts a member is, None for any other."""
    *above, last = [part for part in name.split("/") if part not in ("", ".")] or [""]
    if ".." in above or last not in wanted:
        return None
    return last if folder is None or not above or above[-1] == folder else None
