"""Formats of lists: bytes in, rules and rejected lines out.

``parse`` reads a stream, ``parse_ut1`` a folder of Université Toulouse. Both stream, so memory does not grow
with the list; both go on after any bad line; neither raises for anything the bytes may hold.
"""

from __future__ import annotations

from filterd.lists.formats.reader import FORMATS, Guard, parse, parse_blocks
from filterd.lists.formats.ut1 import parse_ut1, usage

__all__ = ["FORMATS", "Guard", "parse", "parse_blocks", "parse_ut1", "usage"]
