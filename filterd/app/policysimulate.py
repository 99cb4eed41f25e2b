"""What a new policy would do to lookups that were made: newly blocked or allowed, by category and popularity.

Reads names from a file, decides each by both policies, and keeps sums; nothing is activated.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from filterd.errors import BadName
from filterd.rules.decide import decide
from filterd.rules.index import Index
from filterd.rules.policy import Policy
from filterd.rules.verdict import Action, Verdict
from filterd.rules.view import View
from filterd.wire import names

MAX_AT_ONCE = 200_000  # distinct names added up before they are decided
MAX_SHOWN = 1000  # names kept of a group, a kind and a category
_MAX_LINE = 4096
_A = 1

Kind = Literal["blocked", "allowed", "rewritten", "not rewritten", "for another reason"]


class Key(NamedTuple):
    """Where a change is counted: kind of change, and the category or reason that makes it."""

    group: str
    kind: Kind
    category: str


@dataclass(slots=True)
class Tally:
    """What is counted under a key: names, lookups, and the most asked ones."""

    names: int = 0
    lookups: int = 0
    top: list[tuple[int, str]] = field(default_factory=list)

    def add(self, name: str, count: int) -> None:
        """Count a name."""
        self.names += 1
        self.lookups += count
        if len(self.top) < MAX_SHOWN:
            heapq.heappush(self.top, (count, name))
        elif (count, name) > self.top[0]:
            heapq.heapreplace(self.top, (count, name))

    def most(self, number: int) -> list[tuple[str, int]]:
        """Return the names asked most."""
        found = sorted(self.top, key=lambda one: (-one[0], one[1]))
        return [(name, count) for count, name in found[:number]]


@dataclass(slots=True)
class Simulation:
    """What came of it.

    Attributes:
        names: names decided, each counted once for every time it was read anew.
        lookups: what they stand for.
        rejected: lines that hold no name.
        changes: what would change.
    """

    names: int = 0
    lookups: int = 0
    rejected: int = 0
    changes: dict[Key, Tally] = field(default_factory=dict)


def simulate(
    old: Policy,
    new: Policy,
    index: Index,
    lines: Iterable[bytes],
    *,
    groups: Iterable[str],
    at: float,
    progress: Callable[[int], None] = lambda _bytes: None,
) -> Simulation:
    """Decide every name of a file by two policies.

    Args:
        old: the policy that holds.
        new: the policy that is thought of.
        index: the compiled lists.
        lines: ``name``, ``name count`` or ``count name`` each; more columns and ``#`` comments are skipped.
        groups: for whom; those that one of the policies does not have are left out.
        at: for which time, in UTC seconds.
        progress: told the bytes read so far.
    """
    pairs = [
        (group, old.view(group, at), new.view(group, at))
        for group in groups
        if group in old.groups and group in new.groups
    ]
    made = Simulation()
    for counts in _counted(lines, made, progress):
        for name, count in counts.items():
            _weigh(name, count, pairs, index, made)
    return made


def _counted(
    lines: Iterable[bytes], made: Simulation, progress: Callable[[int], None]
) -> Iterator[Counter[bytes]]:
    counts: Counter[bytes] = Counter()
    done = 0
    for line in lines:
        done += len(line)
        found = _parsed(line)
        if found is None:
            made.rejected += bool(line.strip()) and not line.lstrip().startswith(b"#")
            continue
        counts[found[0]] += found[1]
        if len(counts) >= MAX_AT_ONCE:
            progress(done)
            yield counts
            counts = Counter()
    progress(done)
    yield counts


def _parsed(line: bytes) -> tuple[bytes, int] | None:
    words = line[:_MAX_LINE].decode("utf-8", "replace").partition("#")[0].replace(",", " ").split()
    if not words:
        return None
    count = 1
    if words[0].isdecimal() and len(words) > 1:
        count, words = int(words[0][:15]), words[1:]
    elif len(words) > 1 and words[1].isdecimal():
        count = int(words[1][:15])
    try:
        return names.from_text(words[0].lower()), count
    except BadName:
        return None


def _weigh(
    name: bytes, count: int, pairs: Iterable[tuple[str, View, View]], index: Index, made: Simulation
) -> None:
    made.names += 1
    made.lookups += count
    for group, before, after in pairs:
        was, now = decide(name, _A, before, index), decide(name, _A, after, index)
        if was == now:
            continue
        kind, verdict = _kind(was, now)
        key = Key(group, kind, verdict.category or verdict.reason.value)
        made.changes.setdefault(key, Tally()).add(names.to_unicode(name), count)


def _kind(was: Verdict, now: Verdict) -> tuple[Kind, Verdict]:
    """Return what changed, and the verdict that says why it is (or was) so."""
    if was.action is now.action:
        return "for another reason", now
    if now.action is Action.BLOCK:
        return "blocked", now
    if now.action is Action.REWRITE:
        return "rewritten", now
    return ("allowed", was) if was.action is Action.BLOCK else ("not rewritten", was)
