"""Names that a list may not hold unless its entry in the catalogue says so: public suffixes and whole TLDs.

One line ``pages.dev`` or ``.com`` in a fetched list would block what thousands of strangers publish. Both
sections of the public suffix list count, ICANN's and the private one. Reads the copy that comes with the
library; never the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from importlib import resources

from filterd.errors import BadName
from filterd.lists.rule import Reason
from filterd.rules.suffixes import public_suffixes
from filterd.wire import names


def guard(allowed: Iterable[bytes] = ()) -> Callable[[bytes], Reason | None]:
    """Return the function that tells why a name may not stand in a list, or None.

    Args:
        allowed: wire names that the list's entry lets through although they are public suffixes.
    """
    exact, wild = _suffixes()
    let_through = frozenset(allowed)

    def refuse(name: bytes) -> Reason | None:
        parent = name[name[0] + 1 :]
        if not parent or parent == names.ROOT:
            return None if name in let_through else Reason.WHOLE_TLD
        # Two set look-ups rule out nearly every name; the library, at 2 µs, has the last word (exceptions
        # such as !www.ck).
        if (name in exact or parent in wild) and name not in let_through and _is_public(name):
            return Reason.PUBLIC_SUFFIX
        return None

    return refuse


def is_public_suffix(name: bytes) -> bool:
    """Return whether a wire name is a public suffix, a whole TLD included."""
    return guard()(name) is not None


def _is_public(name: bytes) -> bool:
    return bool(public_suffixes().is_public(names.to_text(name)))


@cache
def _suffixes() -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Return (names that are suffixes, names whose direct children are)."""
    exact: set[bytes] = set()
    wild: set[bytes] = set()
    text = resources.files("publicsuffixlist").joinpath("public_suffix_list.dat").read_text("utf-8")
    for line in text.splitlines():
        rule = line.strip().lower()
        if not rule or rule.startswith("//"):
            continue
        try:
            name = names.from_text(rule.removeprefix("!").removeprefix("*."))
        except BadName:
            continue  # no rule of the list is like this; one that were could not stand in a blocklist either
        exact.add(name)  # the parent of a wildcard is a suffix too, as the library reads it
        if rule.startswith("*."):
            wild.add(name)
    return frozenset(exact), frozenset(wild)
