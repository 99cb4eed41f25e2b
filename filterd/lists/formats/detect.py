"""Which format a list is in, told from its first lines.

A guess for lists that a person adds by hand; the catalogue names the format of every list it ships.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from filterd.lists.formats.plain import leads_nowhere

HEAD: Final = 1 << 16  # bytes looked at
LINES: Final = 500

# The first pattern that fits a line names its format; most telling first.
_SIGNS: Final = (
    ("rpz", re.compile(rb"\$(?:TTL|ORIGIN)\b|[^#!].{0,300}?\s(?:CNAME|SOA|NS)\s+\S", re.IGNORECASE)),
    ("unbound", re.compile(rb"(?:local-zone|local-data):|server:$")),
    ("dnsmasq", re.compile(rb"(?:--)?(?:address|server|local)=/")),
    ("adblock", re.compile(rb"@@|\|.|/.*/$|[^#]*#[@?%$]?#|\S+\^(?:\$\S*)?$")),
    ("wildcard", re.compile(rb"\*\.\S+$")),
)
_NAME: Final = re.compile(rb"[\w=.-][\w.-]*$")


def detect(head: bytes) -> str:
    """Return the format most lines of the beginning of a list speak for; ``domains`` when none does."""
    votes: Counter[str] = Counter()
    lines = head.removeprefix(b"\xef\xbb\xbf")[:HEAD].split(b"\n")
    if len(head) >= HEAD:
        lines.pop()  # cut in the middle
    for line in lines:
        text = line.strip()
        if text and text[0] not in b"#!;[" and votes.total() < LINES:
            votes[_format_of(text)] += 1
    # An adblock list may hold bare names and hosts lines too; the reverse does not happen.
    if votes["adblock"]:
        votes["adblock"] += votes["hosts"] + votes["domains"]
    if votes["wildcard"]:
        votes["wildcard"] += votes["domains"]
    del votes[""]
    return votes.most_common(1)[0][0] if votes else "domains"


def _format_of(text: bytes) -> str:
    text = text[:1000]
    for name, sign in _SIGNS:
        if sign.match(text):
            return name
    words = text.split(b"#", 1)[0].split()
    if len(words) > 1 and leads_nowhere(words[0]) is not None:
        return "hosts"
    return "domains" if len(words) == 1 and _NAME.match(words[0]) else ""
