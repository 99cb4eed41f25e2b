"""What a parser hands on: a rule it understood, or a line it did not.

Plain values, no I/O. They are tuples and not dataclasses because a compile makes one for each of several
million lines.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

# Scopes, the same numbers as in filterd.rules.index.
EXACT: Final = 0  # this name only
SUBTREE: Final = 1  # the name and everything below it
BELOW: Final = 2  # everything below the name, not the name

SAMPLE_TEXT: Final = 120  # characters of a rejected line that are kept


class Reason(StrEnum):
    """Why a line gave no rule; stable labels for counters, reports and pages."""

    TOO_LONG = "line-too-long"
    BARE_CR = "carriage-return-inside"
    NUL = "nul-byte"
    NOT_UTF8 = "not-utf8"
    NOT_UNDERSTOOD = "not-understood"
    EMPTY_LABEL = "empty-label"
    LABEL_LENGTH = "label-over-63"
    NAME_LENGTH = "name-over-255"
    BAD_CHARACTER = "bad-character"
    BAD_IDN = "bad-idn"
    IP_ADDRESS = "ip-address"
    IP_GLUED = "ip-address-glued-to-text"
    BAD_ADDRESS = "bad-address"
    LOCAL_NAME = "local-name"
    PUBLIC_SUFFIX = "public-suffix"
    WHOLE_TLD = "whole-tld"
    WILDCARD = "wildcard-in-the-middle"
    COSMETIC = "cosmetic-rule"
    REGEX = "regex"
    URL = "url-path"
    MODIFIER = "modifier-not-dns"
    BADFILTER = "badfilter"
    NOT_ANCHORED = "not-anchored-to-a-name"
    REAL_ADDRESS = "points-to-a-real-address"
    FORWARDING = "forwarding-rule"
    UNSUPPORTED = "unsupported-directive"
    ZONE_TYPE = "zone-type-not-blocking"
    LOCAL_DATA = "local-data"
    TRIGGER = "rpz-trigger-not-a-name"
    ACTION = "rpz-action-not-supported"
    OUTSIDE_ZONE = "outside-zone"


class Rule(NamedTuple):
    """One name that a list blocks or excepts.

    Attributes:
        name: lower-case wire name.
        scope: EXACT, SUBTREE or BELOW.
        allow: an exception (adblock ``@@``, RPZ passthru): cancels entries of the same list.
        important: not cancelled by an exception (adblock ``$important``).
    """

    name: bytes
    scope: int = SUBTREE
    allow: bool = False
    important: bool = False


class Rejected(NamedTuple):
    """One line, or one name on a line, that gave no rule.

    Attributes:
        line: 1-based line in the file.
        column: 1-based byte column where the part at fault begins.
        text: that part, printable, at most SAMPLE_TEXT characters.
        reason: why.
        file: the file within a list that is a folder; else empty.
    """

    line: int
    column: int
    text: str
    reason: Reason
    file: str = ""


class Fault(NamedTuple):
    """What a parser of one line says of a part it cannot use; with the line's number it becomes a Rejected.

    Attributes:
        offset: 0-based byte offset in the line.
        part: the bytes at fault.
        reason: why.
    """

    offset: int
    part: bytes
    reason: Reason

    def at(self, line: int) -> Rejected:
        """Return the Rejected for this fault on the line with this number."""
        return Rejected(line, self.offset + 1, shown(self.part), self.reason)


def shown(part: bytes) -> str:
    """Return bytes of a list as one printable line for a person, cut to SAMPLE_TEXT characters."""
    text = part[: SAMPLE_TEXT * 4].decode("utf-8", "backslashreplace")
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return text if len(text) <= SAMPLE_TEXT else text[: SAMPLE_TEXT - 1] + "…"
