"""The part of the adblock syntax that DNS can honour, as AdGuard's DNS filtering reads it.

``||d^`` blocks d and everything below, ``|d^`` and a bare ``d`` this name only, ``||*.d^`` what is below;
``@@`` before a rule makes it an exception. Modifiers:

* ``$important`` and ``$all`` are honoured;
* ``$denyallow=a|b`` blocks, and makes a and b exceptions of this list;
* ``$badfilter`` on a blocking rule makes that name an exception of this list: its author takes the rule back;
* every other one is rejected. What a rule limits (third parties, scripts, one client, one record type)
  must not be blocked for everybody, and what it rewrites is not a block.

Rules about parts of pages (``##``), regular expressions, paths and wildcards inside a name are rejected.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from filterd.lists.formats.plain import NOTHING, Item, LineParser, hosts, leads_nowhere
from filterd.lists.formats.written import BadPart, wire_name
from filterd.lists.rule import BELOW, EXACT, SUBTREE, Reason, Rule

_COSMETIC: Final = re.compile(rb"#(?:@|\?|%|\$|@\?|@%|@\$|\$\?|@\$\?)?#|\$@?\$")
_END: Final = re.compile(rb"\^?\|?")
_HONOURED: Final = frozenset((b"important", b"all", b"badfilter", b"denyallow"))


class _Pattern(NamedTuple):
    """What a rule is about: which name, where it stands in the line, how far it reaches."""

    name: bytes
    offset: int
    scope: int


def adblock(scope: int) -> LineParser:
    """Return the parser of adblock lists; ``scope`` is what a name on a hosts line within means."""
    hosts_line = hosts(scope)

    def parse(line: bytes) -> Sequence[Item]:
        text = line.lstrip()
        if not text or _is_comment(text):
            return NOTHING
        offset = len(line) - len(text)
        try:
            # ||name^ and nothing else: nearly every line
            if text.startswith(b"||") and text.endswith(b"^"):
                return (Rule(wire_name(text[2:-1], offset + 2), SUBTREE),)
        except BadPart:
            pass
        words = text.split(None, 1)
        if len(words) > 1 and leads_nowhere(words[0]) is not None:
            return hosts_line(line)
        try:
            return _rules(text, offset)
        except BadPart as bad:
            return (bad.fault,)

    return parse


def _is_comment(text: bytes) -> bool:
    if text[0] == ord("#"):
        # "##.banner" and "#@#.banner" are rules; "# words", "#words", "## words" and "#####" are comments
        mark = _COSMETIC.match(text)
        return mark is None or (mark[0] == b"##" and text[2:3] in (b"", b" ", b"#"))
    return text[0] == ord("!") or (text[0] == ord("[") and text.endswith(b"]"))


def _rules(text: bytes, offset: int) -> Sequence[Item]:
    text = text.split(b" #", 1)[0].rstrip()
    allow = text.startswith(b"@@")
    body = text[2:] if allow else text
    start = offset + len(text) - len(body)
    if (match := _COSMETIC.search(body)) is not None:
        raise BadPart(start + match.start(), text, Reason.COSMETIC)
    if body.startswith(b"/") and body.count(b"/") > 1:
        raise BadPart(start, text, Reason.REGEX)
    pattern, _, modifiers = body.partition(b"$")
    found = _pattern(pattern, start)
    rule = Rule(wire_name(found.name, found.offset), found.scope, allow)
    return _modified(rule, modifiers, start + len(pattern) + 1) if modifiers else (rule,)


def _pattern(text: bytes, offset: int) -> _Pattern:
    """Split ``||name^`` and its kin.

    Raises:
        BadPart: not anchored to a whole name, so DNS would have to search inside names.
    """
    if text.startswith(b"||"):
        name, scope = text[2:], SUBTREE
    elif text.startswith(b"|"):
        name, scope = text[1:], EXACT
    else:
        name, scope = text, EXACT
    offset += len(text) - len(name)
    stripped = name.rstrip(b"^|")
    if not _END.fullmatch(name, len(stripped)):
        raise BadPart(offset + len(stripped), text, Reason.NOT_UNDERSTOOD)
    if name == text and stripped != name:  # "name^" also matches the end of longer names
        raise BadPart(offset, text, Reason.NOT_ANCHORED)
    if b"://" in stripped:
        raise BadPart(offset + stripped.index(b"://"), text, Reason.URL)
    if scope == SUBTREE and stripped.startswith(b"*."):
        return _Pattern(stripped[2:], offset + 2, BELOW)
    return _Pattern(stripped, offset, scope)


def _modified(rule: Rule, modifiers: bytes, offset: int) -> Sequence[Item]:
    """Apply the modifiers after ``$``.

    Raises:
        BadPart: one of them cannot be honoured by DNS for everybody.
    """
    start = offset
    important = taken_back = False
    exceptions: list[Rule] = []
    for modifier in modifiers.split(b","):
        word, _, value = modifier.strip().lower().partition(b"=")
        if word not in _HONOURED or (bool(value) != (word == b"denyallow")):
            raise BadPart(offset, modifier, Reason.MODIFIER)
        important |= word == b"important"
        taken_back |= word == b"badfilter"
        if word == b"denyallow":
            at = offset + modifier.index(b"=") + 1
            exceptions += [Rule(wire_name(name, at), SUBTREE, allow=True) for name in value.split(b"|")]
        offset += len(modifier) + 1
    # An exception cannot lift an important rule, nor can one take back an exception.
    if taken_back and (rule.allow or important or exceptions):
        raise BadPart(start, modifiers, Reason.BADFILTER)
    if exceptions and (rule.allow or important):
        raise BadPart(start, modifiers, Reason.MODIFIER)
    return (rule._replace(allow=rule.allow or taken_back, important=important), *exceptions)
