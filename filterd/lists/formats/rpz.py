"""Response policy zones: the QNAME triggers that block or pass a name (draft-vixie-dnsop-dns-rpz-00).

``d CNAME .`` (NXDOMAIN), ``CNAME *.`` (NODATA), ``CNAME rpz-drop.`` and null addresses block: a bare owner is
that name only, ``*.d`` what is below it. ``CNAME rpz-passthru.``, and the old way of a name that is its own
target, are exceptions. Triggers on addresses and name servers, and answers that rewrite, are rejected.
Reads the zone line by line; never fetches an ``$INCLUDE``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from filterd.lists.formats.plain import NOTHING, Item, leads_nowhere
from filterd.lists.formats.written import BadPart, wire_name
from filterd.lists.rule import BELOW, EXACT, Fault, Reason, Rule

# A quote that never closes takes the rest of the line; looking for its end again and again would be
# quadratic.
_WORD: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?|[^\s;()"]+|[();]', re.DOTALL)
_TTL: Final = re.compile(rb"(?:\d+[wdhms]?)+", re.IGNORECASE)
_CLASSES: Final = frozenset((b"IN", b"CH", b"HS"))
_TRIGGERS: Final = (b"rpz-ip", b"rpz-client-ip", b"rpz-nsip", b"rpz-nsdname")
_ZONE_TYPES: Final = frozenset(
    b"SOA NS DNSKEY DS RRSIG NSEC NSEC3 NSEC3PARAM CDS CDNSKEY ZONEMD TYPE65534".split()
)
_BLOCK: Final = frozenset((b".", b"*.", b"rpz-drop."))

Word = tuple[int, bytes]  # byte offset in the line, and the word


class Rpz:
    """Parses a zone file line by line; keeps origin, last owner and an open parenthesis."""

    def __init__(self) -> None:
        self._origin: bytes | None = None  # absolute, lower case, without the final dot; None: not told yet
        self._zone: bytes | None = None  # the same for the apex of the zone
        self._owner: bytes | None = None
        self._open = False  # inside parentheses: the rest of a record that gives no rule

    def __call__(self, line: bytes) -> Sequence[Item]:
        """Parse one line."""
        words, opened, closed = _split(line)
        if self._open:
            self._open = not closed
            return NOTHING
        self._open = opened and not closed
        if not words:
            return NOTHING
        if words[0][1].startswith(b"$"):
            return self._directive(words)
        return self._record(words, inherits=line[:1] in (b" ", b"\t"))

    def _directive(self, words: Sequence[Word]) -> Sequence[Item]:
        name = words[0][1].upper()
        if name == b"$ORIGIN" and len(words) > 1:
            self._origin = self._absolute(words[1][1].lower())
            if self._zone is None and self._origin:
                self._zone = self._origin  # until an SOA says better
            return NOTHING
        if name == b"$TTL":
            return NOTHING
        return (Fault(words[0][0], words[0][1], Reason.UNSUPPORTED),)

    def _record(self, words: Sequence[Word], *, inherits: bool) -> Sequence[Item]:
        offset = words[0][0]
        if inherits:
            rest = words
        else:
            self._owner, rest = words[0][1].lower(), words[1:]
        while rest and (rest[0][1].upper() in _CLASSES or _TTL.fullmatch(rest[0][1])):
            rest = rest[1:]
        if self._owner is None or not rest:
            return (Fault(offset, words[0][1], Reason.NOT_UNDERSTOOD),)
        kind = rest[0][1].upper()
        if kind == b"SOA":
            self._zone = self._origin if self._owner == b"@" else self._absolute(self._owner)
            if self._origin is None:
                self._origin = self._zone
            return NOTHING
        if kind in _ZONE_TYPES:
            return NOTHING
        try:
            return self._policy(self._owner, offset, kind, [word for _, word in rest[1:]])
        except BadPart as bad:
            return (bad.fault,)

    def _policy(self, owner: bytes, offset: int, kind: bytes, data: Sequence[bytes]) -> Sequence[Item]:
        trigger = self._trigger(owner, offset)
        if trigger.rpartition(b".")[2] in _TRIGGERS:
            raise BadPart(offset, owner, Reason.TRIGGER)
        name, scope = (trigger[2:], BELOW) if trigger.startswith(b"*.") else (trigger, EXACT)
        if name == b"*":
            raise BadPart(offset, owner, Reason.WHOLE_TLD)
        allow = self._action(owner, offset, kind, data, trigger)
        return (Rule(wire_name(name, offset + len(trigger) - len(name)), scope, allow),)

    def _action(self, owner: bytes, offset: int, kind: bytes, data: Sequence[bytes], trigger: bytes) -> bool:
        """Return whether the record is an exception; False: it blocks.

        Raises:
            BadPart: it does neither.
        """
        if kind in (b"A", b"AAAA") and len(data) == 1 and leads_nowhere(data[0]):
            return False
        if kind != b"CNAME" or len(data) != 1:
            raise BadPart(offset, owner, Reason.LOCAL_DATA)
        target = data[0].lower()
        if target in _BLOCK:
            return False
        if target in (b"rpz-passthru.", trigger + b"."):
            return True
        raise BadPart(offset, owner, Reason.ACTION)

    def _absolute(self, name: bytes) -> bytes:
        """Return an owner or origin as absolute name without the final dot; the root is empty."""
        if name == b"@":
            return self._origin or b""
        if name.endswith(b"."):
            return name[:-1]
        return name + b"." + self._origin if self._origin else name

    def _trigger(self, owner: bytes, offset: int) -> bytes:
        """Return the owner relative to the zone.

        Raises:
            BadPart: it is the apex, or outside the zone.
        """
        if self._origin == self._zone and owner != b"@" and not owner.endswith(b"."):
            return owner
        absolute = self._absolute(owner)
        zone = self._zone or b""
        if zone and absolute.endswith(b"." + zone):
            return absolute[: -len(zone) - 1]
        apex = absolute == zone
        raise BadPart(offset, owner, Reason.LOCAL_DATA if apex else Reason.OUTSIDE_ZONE)


def _split(line: bytes) -> tuple[list[Word], bool, bool]:
    """Return the words of a line before its comment, and whether a parenthesis opens and closes in it."""
    words: list[Word] = []
    opened = closed = False
    for match in _WORD.finditer(line):
        word = match[0]
        if word == b";":
            break
        if word == b"(":
            opened, closed = True, False
        elif word == b")":
            closed = True
        else:
            words.append((match.start(), word))
    return words, opened, closed
