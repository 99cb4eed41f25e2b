"""No report names a domain or an address: free text of people is screened, everything else is checked.

A word with dots is a domain when it ends in a suffix of the public suffix list; "А.Байтұрсынов" and "No.5"
are not.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final

from filterd.rules.suffixes import public_suffixes

HIDDEN: Final = "[…]"
_WORD: Final = re.compile(r"[^\s/@\"'<>()\[\]{},;|«»“”]+")
_LABEL: Final = re.compile(r"[\w-]+")


def names_domain(text: str) -> bool:
    """Tell whether a text names a domain or an IP address."""
    return any(_is_domain(word) for word in _WORD.findall(text))


def without_domains(text: str) -> str:
    """Return a text in which every domain and address is replaced by ``[…]``."""
    return _WORD.sub(lambda found: HIDDEN if _is_domain(found[0]) else found[0], text)


@lru_cache(maxsize=4096)
def label(text: str) -> str:
    """Return an id that a box sent, without what a damaged or hostile box might have put there."""
    return without_domains(text)


def _is_domain(word: str) -> bool:
    if "." not in word and ":" not in word and "。" not in word:
        return False
    if _is_address(word) or _is_address(word.rpartition(":")[0]):
        return True
    host = word.replace("。", ".").rpartition("://")[2].partition(":")[0].strip(".:!?…*_~`").casefold()
    labels = host.split(".")
    if len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        return False
    return public_suffixes().publicsuffix(labels[-1], accept_unknown=False) is not None


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word.strip(".[]"))
    except ValueError:
        return False
    return True
