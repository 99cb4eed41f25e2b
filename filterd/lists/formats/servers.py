"""Lists written as configuration of other DNS servers: dnsmasq and unbound.

Only what blocks is taken; forwarding, rewriting and other settings are rejected, because a list that blocks
must not quietly become one that redirects.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from filterd.lists.formats.plain import NOTHING, Item, leads_nowhere
from filterd.lists.formats.written import BadPart, wire_name
from filterd.lists.rule import BELOW, EXACT, SUBTREE, Fault, Reason, Rule

_DNSMASQ: Final = re.compile(rb"\s*(?:--)?([a-z0-9-]+)\s*=\s*")
_NULL_TARGETS: Final = frozenset((b"", b"#"))


def dnsmasq(line: bytes) -> Sequence[Item]:
    """Parse one line of dnsmasq configuration.

    ``address=/d/`` with no address, ``#``, or one that leads nowhere blocks d and everything below; so do
    ``server=/d/`` and ``local=/d/``. ``server=/d/#`` ("as usual") is an exception. ``/*.d/`` is what is
    below d. Several domains may stand between the slashes.
    """
    text = re.sub(rb"(?:^|\s)#.*", b"", line)
    if not text.strip():
        return NOTHING
    match = _DNSMASQ.match(text)
    if match is None:
        return (Fault(0, line, Reason.NOT_UNDERSTOOD),)
    if match[1] not in (b"address", b"server", b"local"):
        return (Fault(match.start(1), line, Reason.UNSUPPORTED),)
    value = text[match.end() :]
    parts = value.split(b"/")
    if parts[0] or len(parts) < 3:  # "/d/" is three parts
        # "server=8.8.8.8" and "address=1.2.3.4" concern every name
        reason = Reason.FORWARDING if match[1] == b"server" else Reason.NOT_UNDERSTOOD
        return (Fault(match.end(), value, reason),)
    return _dnsmasq_names(parts[1:-1], match.end() + 1, *_dnsmasq_target(match[1], parts[-1].strip()))


def _dnsmasq_target(option: bytes, target: bytes) -> tuple[bool, Reason | None]:
    """Return (is an exception, reason why it does not block)."""
    if option == b"address":
        blocks = target in _NULL_TARGETS or leads_nowhere(target)
        return False, None if blocks else Reason.REAL_ADDRESS
    if target == b"#":
        return True, None
    return False, Reason.FORWARDING if target else None


def _dnsmasq_names(parts: list[bytes], offset: int, allow: bool, reason: Reason | None) -> Sequence[Item]:
    items: list[Item] = []
    for part in parts:
        if reason is not None:
            items.append(Fault(offset, part, reason))
        else:
            items.append(_dnsmasq_name(part, offset, allow))
        offset += len(part) + 1
    return items


def _dnsmasq_name(part: bytes, offset: int, allow: bool) -> Item:
    scope = SUBTREE
    name = part
    if part.startswith(b"*."):
        name, scope = part[2:], BELOW
    elif part.startswith(b"."):
        name = part[1:]
    if part == b"#":  # dnsmasq's word for every name
        return Fault(offset, part, Reason.WHOLE_TLD)
    try:
        return Rule(wire_name(name, offset + len(part) - len(name)), scope, allow)
    except BadPart as bad:
        return bad.fault


_UNBOUND: Final = re.compile(rb"\s*([a-z0-9-]+):(?:\s+(.*))?", re.DOTALL)
_ZONE: Final = re.compile(rb"""\s*(?:"([^"]*)"|'([^']*)'|([^\s"']+))\s+["']?([a-z_]+)["']?\s*""")
_BLOCKING: Final = frozenset(
    b"always_nxdomain always_nodata always_refuse always_deny always_null deny refuse inform_deny".split()
)
_MAY_HOLD_DATA: Final = frozenset((b"static", b"redirect", b"inform_redirect"))
_OPENING: Final = frozenset((b"transparent", b"typetransparent", b"always_transparent"))


class Unbound:
    """Parses unbound configuration line by line.

    A ``local-zone`` that refuses, denies or denies the existence of a name blocks it and everything below; a
    transparent one is an exception. A ``static`` or ``redirect`` zone blocks unless the line after it gives
    it data: then the list rewrites the name (a safe-search recipe, for example), and that is rejected.
    ``local-data`` of its own blocks the exact name when its address leads nowhere.
    """

    def __init__(self) -> None:
        self._waiting: bytes | None = None  # a zone that the next line may fill with data

    def __call__(self, line: bytes) -> Sequence[Item]:
        """Parse one line."""
        text = re.sub(rb"(?:^|\s)#.*", b"", line)
        if not text.strip():
            return NOTHING
        match = _UNBOUND.fullmatch(text)
        if match is None:
            return (*self.finish(), Fault(0, line, Reason.NOT_UNDERSTOOD))
        option, value = match[1], match[2] or b""
        offset = match.end() - len(value)
        if option == b"local-data":
            return self._data(value, offset)
        items = list(self.finish())
        if option == b"local-zone":
            items += self._zone(value, offset)
        elif option != b"server":
            items.append(Fault(match.start(1), line, Reason.UNSUPPORTED))
        return items

    def finish(self) -> Sequence[Item]:
        """Return the rule still waiting for the next line, if any."""
        waiting, self._waiting = self._waiting, None
        return NOTHING if waiting is None else (Rule(waiting, SUBTREE),)

    def _zone(self, value: bytes, offset: int) -> Sequence[Item]:
        match = _ZONE.fullmatch(value)
        if match is None:
            return (Fault(offset, value, Reason.NOT_UNDERSTOOD),)
        group = next(number for number in (1, 2, 3) if match[number] is not None)
        kind = match[4]
        try:
            name = wire_name(match[group], offset + match.start(group))
        except BadPart as bad:
            return (bad.fault,)
        if kind in _MAY_HOLD_DATA:
            self._waiting = name
            return NOTHING
        if kind in _BLOCKING or kind in _OPENING:
            return (Rule(name, SUBTREE, kind in _OPENING),)
        return (Fault(offset + match.start(4), kind, Reason.ZONE_TYPE),)

    def _data(self, value: bytes, offset: int) -> Sequence[Item]:
        words = _record(value)
        if len(words) != 3:  # name, type, data
            return (*self.finish(), Fault(offset, value, Reason.LOCAL_DATA))
        owner, kind, data = words
        try:
            name = wire_name(owner, offset + value.index(owner))
        except BadPart as bad:
            return (*self.finish(), bad.fault)
        nowhere = kind.upper() in (b"A", b"AAAA") and leads_nowhere(data)
        if self._waiting != name:
            earlier = self.finish()
            return (*earlier, Rule(name, EXACT) if nowhere else Fault(offset, value, Reason.LOCAL_DATA))
        if nowhere:
            return self.finish()
        self._waiting = None
        return (Fault(offset, value, Reason.LOCAL_DATA),)


def _record(value: bytes) -> list[bytes]:
    """Return the words of a resource record in quotes, without its TTL and class."""
    words = value.strip().strip(b"\"'").split()
    return words[:1] + [word for word in words[1:] if not word.isdigit() and word.upper() != b"IN"]
