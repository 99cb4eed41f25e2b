"""The public suffix list, read once for all who need it: what is registrable, what belongs to everybody.

Comes with its package and is renewed with it; nothing is fetched. The first call reads it (0.1 s), so a
process that serves calls it at its start and not at a lookup.
"""

from __future__ import annotations

from functools import cache

from publicsuffixlist import PublicSuffixList

from filterd.wire import names


@cache
def public_suffixes() -> PublicSuffixList:
    """Return the list (https://publicsuffix.org/list/), its private section included."""
    return PublicSuffixList()


def registrable(name: bytes) -> bytes | None:
    """Return the domain that somebody registered: one label more than the public suffix.

    Args:
        name: lower-case wire name.

    Returns:
        The end of ``name``; None when it is a public suffix itself, or the root.
    """
    labels = tuple(names.labels(name))
    found = public_suffixes().privatesuffix(labels) if labels else None
    return name[-1 - sum(len(label) + 1 for label in found) :] if found else None
