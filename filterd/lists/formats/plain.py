"""Formats with one name a line, or names after an address: domains, wildcard, hosts.

Each parser turns one line into rules and faults and keeps no state.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from filterd.lists.formats.written import BadPart, is_glued, wire_name
from filterd.lists.rule import EXACT, SUBTREE, Fault, Reason, Rule

Item = Rule | Fault
LineParser = Callable[[bytes], Sequence[Item]]

NOTHING: Final[Sequence[Item]] = ()
_COMMENT: Final = frozenset(b"#!;")
_TOKEN: Final = re.compile(rb"\S+")
_BROADCAST: Final = ip_address("255.255.255.255")


def domains(scope: int) -> LineParser:
    """Return the parser of lists with one name a line; ``scope`` is what a bare name means.

    ``=name`` is this name only; ``*.name`` and ``.name`` are the name and everything below, as HaGeZi,
    dnscrypt-proxy and Squid read them.
    """

    def parse(line: bytes) -> Sequence[Item]:
        if b"#" in line:
            line = line[: line.index(b"#")].rstrip()
        text = line.lstrip()
        if not text or text[0] in _COMMENT:
            return NOTHING
        try:
            return (_name_rule(text, len(line) - len(text), scope),)
        except BadPart as bad:
            return (_or_second_word(bad, text, len(line) - len(text)),)

    return parse


def _name_rule(text: bytes, offset: int, scope: int) -> Rule:
    mark = text[0]
    if mark == ord("*") and text.startswith(b"*."):
        return Rule(wire_name(text[2:], offset + 2), SUBTREE)
    if mark == ord("."):
        return Rule(wire_name(text[1:], offset + 1), SUBTREE)
    if mark == ord("="):
        return Rule(wire_name(text[1:], offset + 1), EXACT)
    return Rule(wire_name(text, offset), scope)


def _or_second_word(bad: BadPart, text: bytes, offset: int) -> Fault:
    """Say "not understood" of a line with a blank inside, whatever else is wrong with its first word."""
    first = _TOKEN.match(text)
    if first is None or first.end() == len(text):
        return bad.fault
    rest = text[first.end() :]
    start = offset + len(text) - len(rest.lstrip())
    return Fault(start, text, Reason.NOT_UNDERSTOOD)


def hosts(scope: int) -> LineParser:
    """Return the parser of hosts files (hosts(5)): an address, one or more names, a comment.

    Only an address that leads nowhere blocks: 0.0.0.0, ``::``, loopback. A line with a real address
    rewrites a name, and is rejected.
    """

    def parse(line: bytes) -> Sequence[Item]:
        if b"#" in line:
            line = line[: line.index(b"#")]
        words = line.split()
        if not words:
            return NOTHING
        if len(words) == 2 and words[0] == b"0.0.0.0":  # nearly all lines
            try:
                return (Rule(wire_name(words[1]), scope),)
            except BadPart:
                pass  # the long way finds it again, with its place in the line
        return _hosts_line(line, scope)

    return parse


def _hosts_line(line: bytes, scope: int) -> Sequence[Item]:
    words = [(match.start(), match[0]) for match in _TOKEN.finditer(line)]
    at, address = words[0]
    nowhere = leads_nowhere(address)
    if nowhere is None:
        if address[0] in b"!;":
            return NOTHING
        glued = Reason.IP_GLUED if is_glued(address) else Reason.NOT_UNDERSTOOD
        return (Fault(at, address, Reason.BAD_ADDRESS if len(words) > 1 else glued),)
    if len(words) == 1:
        return (Fault(at, address, Reason.NOT_UNDERSTOOD),)
    return [_hosts_name(name, start, scope, nowhere) for start, name in words[1:]]


def _hosts_name(name: bytes, offset: int, scope: int, nowhere: bool) -> Item:
    try:
        wire = wire_name(name, offset)
    except BadPart as bad:
        return bad.fault
    return Rule(wire, scope) if nowhere else Fault(offset, name, Reason.REAL_ADDRESS)


@lru_cache(maxsize=256)
def leads_nowhere(address: bytes) -> bool | None:
    """Return whether an address is null, loopback or limited to the link or the host; None if it is none.

    A zone index (``fe80::1%lo0``) is taken, and ``0``, which some lists write for the null address.
    """
    try:
        value = ip_address("0.0.0.0" if address == b"0" else address.decode("ascii"))
    except ValueError:
        return None
    if value == _BROADCAST:
        return True
    return value.is_unspecified or value.is_loopback or value.is_link_local or value.is_multicast
