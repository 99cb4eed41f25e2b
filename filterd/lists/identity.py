"""What makes one index another: checksums of lists, and the digest of all that went into a build.

Reads files; never parses them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Final

from filterd.lists.catalogue import Material
from filterd.lists.reading import checksum
from filterd.rules.categories import Categories
from filterd.rules.listinfo import FORMAT

# What the parsers make of the same text changes with the program; count up when they do.
_PARSERS: Final = 1
# What an entry of the catalogue says that does not change what is compiled.
_APART: Final = {"url", "mirrors", "limits", "enabled", "homepage"}


def digest(materials: Sequence[Material], checksums: Sequence[str], categories: Categories) -> str:
    """Return eight hex digits that stand for the content of an index.

    Args:
        materials: the lists.
        checksums: SHA-256 of each one's text, in hex.
        categories: give the bits.
    """
    content = [
        [material.source.model_dump(exclude=_APART), one, categories.by_id[material.source.category].bit]
        for material, one in zip(materials, checksums, strict=True)
    ]
    text = json.dumps([FORMAT, _PARSERS, content], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def version_of(sequence: int, content: str) -> str:
    """Return the name of a build: its number, so that versions sort by age, and its digest."""
    return f"{sequence:06d}-{content}"


def content_of(version: str) -> str:
    """Return the digest in the name of a build."""
    return version.partition("-")[2]


def expected(materials: Sequence[Material], categories: Categories) -> str:
    """Return the digest that compiling these lists would give.

    Raises:
        ListError: a list cannot be read.
    """
    return digest(materials, [checksum(material) for material in materials], categories)
