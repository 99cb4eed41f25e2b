r"""Domain names as wire bytes: text <-> wire, parents, case.

A name inside filterd is its uncompressed wire form in lower case (``b"\\x03www\\x02kz\\x00"``): a label
may hold any byte, so only this form tells ``www.foo`` + ``com`` from ``www`` + ``foo`` + ``com``.
Never touches a socket, a clock or dnslib.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import idna

from filterd.errors import BadName

ROOT = b"\x00"
MAX_NAME = 255  # RFC 1035 section 2.3.4, length bytes and root included
MAX_LABEL = 63

_ESCAPE = re.compile(r"\\(?:([0-9]{3})|([^0-9]))")  # RFC 1035 section 5.1
_PLAIN = re.compile(r"[A-Za-z0-9_*-]{1,63}(?:\.[A-Za-z0-9_*-]{1,63})*\.?")
_SPECIAL = frozenset(b'"().;@$\\')


def lower(name: bytes) -> bytes:
    """Return a wire name with its ASCII letters in lower case (RFC 4343).

    Length bytes are at most 63 and so never fall in ``A``-``Z`` (65-90): one call does it.
    """
    return name.lower()


def from_text(text: str) -> bytes:
    """Return the lower-case wire form of a name written by a person.

    Takes presentation format (RFC 1035 section 5.1 escapes), Unicode labels (IDNA 2008 with UTS 46
    mapping), upper case and an optional trailing dot. ``"."`` is the root.

    Raises:
        BadName: empty name or label, a label over 63 or a name over 255 bytes, a bad escape, or a
            Unicode label that IDNA does not allow.
    """
    if text == ".":
        return ROOT
    if _PLAIN.fullmatch(text):
        labels = text.removesuffix(".").lower().encode("ascii").split(b".")
    elif text.isascii():
        labels = _labels_from_escaped(text)
    else:
        labels = _labels_from_unicode(text)
    return from_labels(labels)


def from_labels(labels: list[bytes]) -> bytes:
    """Return the lower-case wire name of raw labels, leftmost first, without the root label.

    Raises:
        BadName: an empty or too long label, or a name over 255 bytes.
    """
    parts = []
    for label in labels:
        if not 0 < len(label) <= MAX_LABEL:
            raise BadName("empty label" if not label else "label over 63 bytes")
        parts.append(bytes((len(label),)) + label)
    wire = b"".join(parts) + ROOT
    if len(wire) > MAX_NAME:
        raise BadName("name over 255 bytes")
    return wire.lower()


def _labels_from_escaped(text: str) -> list[bytes]:
    labels = [bytearray()]
    position = 0
    while position < len(text):
        char = text[position]
        if char == ".":
            labels.append(bytearray())
            position += 1
        elif char == "\\":
            match = _ESCAPE.match(text, position)
            if match is None or (match[1] and int(match[1]) > 255):
                raise BadName("bad escape")
            labels[-1].append(int(match[1]) if match[1] else ord(match[2]))
            position = match.end()
        else:
            labels[-1].append(ord(char))
            position += 1
    if len(labels) > 1 and not labels[-1]:
        labels.pop()
    return [bytes(label) for label in labels]


def _labels_from_unicode(text: str) -> list[bytes]:
    try:
        return idna.encode(text, uts46=True).removesuffix(b".").split(b".")
    except (idna.IDNAError, UnicodeError) as error:
        raise BadName(f"not an internationalised domain name: {error}") from error


def labels(name: bytes) -> list[bytes]:
    """Return the raw labels of a valid wire name, leftmost first, without the root label."""
    found = []
    position = 0
    while length := name[position]:
        found.append(name[position + 1 : position + 1 + length])
        position += 1 + length
    return found


def to_text(name: bytes) -> str:
    r"""Return presentation format without the final dot; the root is ``"."``.

    Bytes that are not printable ASCII are written as ``\\DDD`` and a dot inside a label as ``\\.``
    (RFC 4343 section 2.1), so two different names never print alike.
    """
    return ".".join(_label_text(label) for label in labels(name)) or "."


def to_unicode(name: bytes) -> str:
    """Return a name for people to read: punycode labels that are valid IDNA shown as Unicode."""
    shown = []
    for label in labels(name):
        text = _label_text(label)
        if label.startswith(b"xn--"):
            # Otherwise shown as it came: a label that is not valid IDNA must not look like one that is.
            with contextlib.suppress(idna.IDNAError, UnicodeError):
                text = idna.ulabel(text)
        shown.append(text)
    return ".".join(shown) or "."


def _label_text(label: bytes) -> str:
    if label.isalnum() and label.isascii():
        return label.decode("ascii")
    return "".join(
        f"\\{byte:03d}" if not 33 <= byte <= 126 else f"\\{chr(byte)}" if byte in _SPECIAL else chr(byte)
        for byte in label
    )


def parents(name: bytes) -> Iterator[bytes]:
    """Yield the name itself, then each parent, the root excluded."""
    position = 0
    while length := name[position]:
        yield name[position:]
        position += 1 + length


def is_under(name: bytes, parent: bytes) -> bool:
    """Return whether ``name`` is ``parent`` or below it; both lower-case wire names."""
    if not name.endswith(parent):
        return False
    position = 0
    target = len(name) - len(parent)
    while position < target:
        position += 1 + name[position]
    return position == target
