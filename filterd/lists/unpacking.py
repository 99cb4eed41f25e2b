"""A transferred file -> the texts of a copy, written under names of our own into a folder made for it.

What an archive calls its members never reaches the file system. A page where a list was expected is refused
before anything else reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

from filterd.errors import ListError
from filterd.lists.archive import pieces
from filterd.lists.catalogue import ListSource
from filterd.lists.formats.lines import blocks
from filterd.lists.limits import Bounds
from filterd.lists.shelf import TEXT, TEXTS

_PAGES: Final = (b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<script", b"<title")
_HEAD: Final = 1024


def unpack(transferred: Path, source: ListSource, place: Path, bounds: Bounds) -> int:
    """Write the texts of a list into a folder and return their size in bytes.

    Args:
        transferred: what was fetched.
        source: the list's entry in the catalogue.
        place: an empty folder.
        bounds: how large it may become.

    Raises:
        ListError: it is no list, is damaged, or is larger than allowed.
        OSError: the folder cannot be written.
    """
    wanted = TEXTS if source.format == "ut1" else (TEXT,)
    folder = source.folder.rpartition("/")[2] if source.folder else None
    (place / wanted[0]).touch()
    size = 0
    now = ""
    file: BinaryIO | None = None
    try:
        with transferred.open("rb") as stream:
            for piece in pieces(blocks(stream), wanted=wanted, folder=folder, bounds=bounds):
                if piece.file != now or file is None:
                    if file is not None:
                        file.close()
                    _refuse_page(piece.block)
                    now = piece.file
                    file = (place / now).open("wb")
                file.write(piece.block)
                size += len(piece.block)
    finally:
        if file is not None:
            file.close()
    return size


def _refuse_page(block: bytes) -> None:
    head = block[:_HEAD].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if head.startswith(_PAGES):
        raise ListError("a web page instead of a list")
