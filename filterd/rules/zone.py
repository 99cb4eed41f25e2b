"""A view as a response policy zone: what a provider's resolver answers for every name.

Pure: verdicts come from `decide`, so the zone says what the filter would. A zone cannot decide by itself: its
wildcards follow DNS (RFC 4592), where a name that exists hides the wildcards above it. So whenever a name is
written, what holds below it is written too, and names in between that exist only by that are given what they
inherit. Answers are not looked into there: aliases and private addresses stay this filter's matter.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final, NamedTuple

from filterd.rules.decide import permit
from filterd.rules.index import Index, key
from filterd.rules.verdict import Action
from filterd.rules.view import View
from filterd.wire import names
from filterd.wire.constants import Type

# A label that no list has: what holds for it holds for everything that no list names.
_UNLISTED = b"0-below-this-name-0-filterd"
_PROBE = bytes((len(_UNLISTED),)) + _UNLISTED
_A: Final = int(Type.A)


class Answer(NamedTuple):
    """What a name gets.

    Attributes:
        kind: ``pass``, ``nxdomain``, ``nodata``, ``cname`` or ``addresses``.
        target: of a CNAME, a wire name.
        v4, v6: addresses, packed.
    """

    kind: str
    target: bytes = b""
    v4: tuple[bytes, ...] = ()
    v6: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One owner of the zone and its answer; ``below``: a wildcard below that name, else the name alone."""

    name: bytes
    below: bool
    answer: Answer


_PASS = Answer("pass")
_NXDOMAIN = Answer("nxdomain")


def rules(
    view: View,
    index: Index,
    *,
    canaries: Iterable[bytes] = (),
    unfiltered: Iterable[bytes] = (),
    illegal: bool = False,
) -> Iterator[Rule]:
    """Yield the rules of the zone.

    Args:
        view: of the group; what holds at the instant it was made for.
        index: the compiled lists.
        canaries: names answered NXDOMAIN so that devices do not go round the resolver.
        unfiltered: names that pass whatever the lists say (RFC 8880).
        illegal: also names that only lists of illegal content block. Such names are displayed nowhere (R1):
            whoever asks for them has to keep the zone to himself.
    """
    exact = dict.fromkeys(canaries, _NXDOMAIN) | dict.fromkeys(unfiltered, _PASS)
    writer = _Writer(_judge(view, index, exact, illegal=illegal))
    extra = sorted(
        {key(rule.name) for rule in view.names.all} | {key(one) for one in (*view.rewrites, *exact)}
    )
    for one, _ in groupby(heapq.merge(index.keys(), extra)):
        yield from writer.write(one)


Judge = Callable[[bytes], Answer]


def _judge(view: View, index: Index, exact: dict[bytes, Answer], *, illegal: bool) -> Judge:
    blocked = _blocked(view)

    def judge(name: bytes) -> Answer:
        if (found := exact.get(name)) is not None:
            return found
        verdict = permit(name, view, index)
        if verdict.action is Action.BLOCK:
            category = view.categories.by_id.get(verdict.category or "")
            return _PASS if category is not None and category.illegal and not illegal else blocked
        rewrite = view.rewrites.get(name)
        if rewrite is None:
            return _PASS
        target = rewrite.target
        if target.name:
            return Answer("cname", target=target.name)
        return Answer("addresses", v4=target.v4, v6=target.v6)

    return judge


def _blocked(view: View) -> Answer:
    answer = view.answer
    if answer.mode == "null":
        return Answer("addresses", v4=(bytes(4),), v6=(bytes(16),))
    if answer.mode == "page":
        return Answer("addresses", v4=answer.page_v4, v6=answer.page_v6)
    return Answer(answer.mode)


class _Writer:
    """Writes what differs from what is inherited; remembers the written names above the one in hand."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._above: list[tuple[bytes, Answer]] = []  # key of a written name, what holds below it

    def write(self, one: bytes) -> Iterator[Rule]:
        """Yield the rules of the name with this key; keys come in order."""
        above = self._above
        while above and not one.startswith(above[-1][0]):
            above.pop()
        parent, inherited = above[-1] if above else (b"", _PASS)
        name = _name(one)
        own, below = self._judge(name), self._judge(_PROBE + name)
        if own == below == inherited:
            return
        if inherited != _PASS:
            for between in _between(parent, one):
                yield from self._both(between, inherited, inherited, hides=True)
        yield from self._both(one, own, below, hides=inherited != _PASS)

    def _both(self, one: bytes, own: Answer, below: Answer, *, hides: bool) -> Iterator[Rule]:
        """Write a name and what is below it; ``hides``: a wildcard above does not reach it any more."""
        name = _name(one)
        if own != _PASS or hides:
            yield Rule(name, below=False, answer=own)
        if below != _PASS or hides:
            yield Rule(name, below=True, answer=below)
        self._above.append((one, below))


def _name(one: bytes) -> bytes:
    """Return the wire name of a key."""
    labels, position = [], 0
    while position < len(one):
        end = position + 1 + one[position]
        labels.append(one[position:end])
        position = end
    return b"".join(reversed(labels)) + names.ROOT


def _between(parent: bytes, one: bytes) -> Iterator[bytes]:
    """Yield the keys strictly between a name and one below it, from above."""
    position = len(parent)
    while (end := position + 1 + one[position]) < len(one):
        yield one[:end]
        position = end
