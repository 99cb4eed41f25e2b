"""What free text may not hold: anything that could name a pupil or a device. Pure.

It finds what has a form (IIN, e-mail, addresses of devices), not names: those are up to the person, and each
form says so.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from filterd.errors import PaperworkError

MOST: Final = 2000
_IIN = re.compile(r"(?<!\d)\d{6}[ \-]?\d{6}(?!\d)|\d{12}")  # 12 digits, also in two halves
_EMAIL = re.compile(r"[^\s@<>(),;:]+@[^\s@<>(),;:]+\.[^\s@<>(),;:]{2,}")
_MAC = re.compile(
    r"(?<![0-9a-f])(?:[0-9a-f]{2}([:\-]))(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?![0-9a-f])", re.IGNORECASE
)
_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d]|\.\d)")
_IPV6 = re.compile(r"(?<![0-9a-f:.])[0-9a-f:]*:[0-9a-f:]*:[0-9a-f:.]*", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")


def forbidden(text: str) -> str:
    """Return what is in a text that may not be, in words; ``""`` for nothing."""
    if _IIN.search(text):
        return "a number of 12 digits, as an IIN is"
    if _EMAIL.search(text):
        return "an e-mail address"
    if _MAC.search(text):
        return "the address of a device (MAC)"
    if any(_is_address(found[0].strip(".")) for found in _IPV4.finditer(text)):
        return "an IP address"
    if any(_is_address(found[0].rstrip(".:") or found[0]) for found in _IPV6.finditer(text)):
        return "an IP address"
    return ""


def checked(text: str, what: str, *, most: int = MOST, needed: bool = False) -> str:
    """Return a text that a person wrote, trimmed.

    Args:
        text: as written; line breaks are kept.
        what: its name in errors, e.g. ``"the evidence"``.
        most: characters.
        needed: it may not be empty.

    Raises:
        PaperworkError: it is too long, empty though needed, or holds what could name a pupil.
    """
    text = text.replace("\r\n", "\n").strip()
    if needed and not text:
        raise PaperworkError(f"{what} is empty", remedy="write it in a few words")
    if len(text) > most:
        raise PaperworkError(f"{what} is longer than {most} characters", remedy="shorten it")
    if _CONTROL.search(text) or (not text.isprintable() and any(
        not (char.isprintable() or char in "\n\t") for char in text
    )):  # fmt: skip
        raise PaperworkError(f"{what} holds a character that cannot be seen", remedy="type it anew")
    if found := forbidden(text):
        raise PaperworkError(
            f"{what} holds {found}",
            remedy="leave it out: no name, number or address of a pupil or device is ever noted here",
        )
    return text


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return text not in {"::", "0.0.0.0"}
