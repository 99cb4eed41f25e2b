"""A name as lists write it -> a wire name, or the reason why it is none.

Stricter than ``wire.names``: a list may hold only what a client could sensibly ask for (letters, digits,
hyphen, underscore, and Unicode that IDNA maps to these), so that a damaged line becomes a counted reject and
not an entry that never matches. Hyphens at the edge of a label are taken: such names exist and resolve.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final

from filterd.errors import BadName
from filterd.lists.rule import Fault, Reason
from filterd.wire import names

_ALLOWED: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
_LENGTH: Final = {length: bytes((length,)) for length in range(1, names.MAX_LABEL + 1)}
_OTHER: Final = re.compile(rb"[^a-zA-Z0-9_.-]")
_GLUED: Final = re.compile(rb"\d{1,3}(?:\.\d{1,3}){3}[^\d.][^.]*(\..*)?", re.DOTALL)

# Names for the host itself that every hosts file brings along (hosts(5), RFC 6761 section 6.3).
_LOCAL: Final = frozenset(
    names.from_text(text)
    for text in (
        *("localhost", "localhost.localdomain", "local", "broadcasthost", "localhost4", "localhost6"),
        *("localhost4.localdomain4", "localhost6.localdomain6", "ip6-localhost", "ip6-loopback"),
        *("ip6-localnet", "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters", "ip6-allhosts"),
    )
)


class BadPart(Exception):
    """A part of a line gives no rule; caught by the parser of that line, never seen outside ``formats``."""

    def __init__(self, offset: int, part: bytes, reason: Reason) -> None:
        super().__init__(reason)
        self.fault = Fault(offset, part, reason)


def wire_name(part: bytes, offset: int = 0) -> bytes:
    """Return the lower-case wire name that a list writes as ``part``; one trailing dot is taken.

    Args:
        part: the bytes of the name alone.
        offset: where they begin in the line, for the fault.

    Raises:
        BadPart: it is not a name; the fault points at the character to blame where one is.
    """
    # The way of nearly every name of a million, so it is written for speed: no regex, one join.
    if not part.translate(None, _ALLOWED):
        labels = part.lower().split(b".")
        if not labels[-1] and len(labels) > 1:
            labels.pop()
        try:
            name = b"".join([_LENGTH[len(label)] + label for label in labels]) + names.ROOT
        except KeyError:
            raise _bad_label(labels, part, offset) from None
        if len(name) > names.MAX_NAME:
            raise BadPart(offset, part, Reason.NAME_LENGTH)
        top = labels[-1]
        if len(top) < 2 or not top.isalpha():
            _refuse_address(top, part, offset)
        if name in _LOCAL:
            raise BadPart(offset, part, Reason.LOCAL_NAME)
        return name
    return _unusual(part, offset)


def is_glued(part: bytes) -> bool:
    """Return whether an IPv4 address runs into text at its start, as in ``0.0.0.0xbtc.exx.com``."""
    return part[:1].isdigit() and _GLUED.fullmatch(part) is not None


def _refuse_address(top: bytes, part: bytes, offset: int) -> None:
    """Raise for an IP address, whole or damaged: no top-level label is numeric (RFC 3696 section 2)."""
    if top.isdigit():
        raise BadPart(offset, part, Reason.IP_ADDRESS)
    if is_glued(part):
        raise BadPart(offset, part, Reason.IP_GLUED)


def _bad_label(labels: list[bytes], part: bytes, offset: int) -> BadPart:
    position = 0
    for label in labels:
        if not label:
            return BadPart(offset + position, part, Reason.EMPTY_LABEL)
        if len(label) > names.MAX_LABEL:
            return BadPart(offset + position, part, Reason.LABEL_LENGTH)
        position += len(label) + 1
    return BadPart(offset, part, Reason.NOT_UNDERSTOOD)


def _unusual(part: bytes, offset: int) -> bytes:
    """Take a part with other bytes than those of a host name: Unicode, or a fault."""
    if b"\x00" in part:
        raise BadPart(offset + part.index(b"\x00"), part, Reason.NUL)
    try:
        text = part.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadPart(offset + error.start, part, Reason.NOT_UTF8) from error
    if text.isascii():
        raise _bad_character(part, offset)
    if len(text) > names.MAX_NAME * 4:  # IDNA is slow on long text, and no name can be that long
        raise BadPart(offset, part, Reason.NAME_LENGTH)
    try:
        mapped = b".".join(names.labels(names.from_text(text)))
    except BadName as error:
        raise BadPart(offset, part, Reason.BAD_IDN) from error
    if _OTHER.search(mapped):
        raise BadPart(offset, part, Reason.BAD_IDN)
    return wire_name(mapped, offset)


def _bad_character(part: bytes, offset: int) -> BadPart:
    match = _OTHER.search(part)
    at = match.start() if match else 0
    found = part[at : at + 1]
    reason = {b"*": Reason.WILDCARD, b"/": Reason.URL, b"?": Reason.URL, b":": Reason.URL}
    if found == b":" and _is_ipv6(part):
        return BadPart(offset, part, Reason.IP_ADDRESS)
    return BadPart(offset + at, part, reason.get(found, Reason.BAD_CHARACTER))


def _is_ipv6(part: bytes) -> bool:
    try:
        IPv6Address(part.decode("ascii"))
    except ValueError:
        return False
    return True
