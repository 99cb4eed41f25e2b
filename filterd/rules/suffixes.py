"""The public suffix list, read once for all who need it: what is registrable, what belongs to everybody.

Comes with its package and is renewed with it; nothing is fetched. The first call reads it (0.1 s), so a
process that serves calls it at its start and not at a lookup.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import publicsuffixlist
from publicsuffixlist import PublicSuffixList

from filterd.wire import names

_EXACT, _WILDCARD, _EXCEPTION = 1, 2, 4


@cache
def public_suffixes() -> PublicSuffixList:
    """Return the list (https://publicsuffix.org/list/), its private section included."""
    return PublicSuffixList()


@cache
def suffix_rules() -> dict[bytes, int]:
    """Return the rules of the same list by wire name, for :func:`registrable`.

    The package's own lookup takes text and 10 µs, on the way of every name that is fetched.
    """
    rules: dict[bytes, int] = {}
    for line in Path(publicsuffixlist.PSLFILE).read_text("utf-8").splitlines():
        rule = line.split(" ")[0].strip().lower()
        if not rule or rule.startswith("//"):
            continue
        kind = _EXCEPTION if rule[0] == "!" else _WILDCARD if rule.startswith("*.") else _EXACT
        text = rule.removeprefix("!").removeprefix("*.").encode("idna").decode("ascii")
        name = names.from_text(text)
        rules[name] = rules.get(name, 0) | kind
    return rules


def registrable(name: bytes) -> bytes | None:
    """Return the domain that somebody registered: one label more than the public suffix.

    Args:
        name: lower-case wire name.

    Returns:
        The end of ``name``; None when it is a public suffix itself, or the root. An unknown top label is a
        public suffix.
    """
    kinds = suffix_rules().get
    above = further = -1  # where the name begins that has one label more, and two more
    at = 0
    while length := name[at]:
        kind = kinds(name[at:], 0)
        if kind:
            # A wildcard makes what stands one label above its name public, an exception registrable.
            begin = at if kind & _EXCEPTION else further if kind & _WILDCARD and above >= 0 else above
            return name[begin:] if begin >= 0 else None
        further, above = above, at
        at += length + 1
    return name[further:] if further >= 0 else None
