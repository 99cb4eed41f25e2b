"""What holds for one group at an instant: masks over category bits, names, how a block is answered.

Immutable and small: a new policy or the bell makes new views, and a memo entry belongs to one of them.
Never reads a clock or an index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from filterd.rules.categories import Categories
from filterd.rules.index import BELOW, EXACT, SCOPE_NAMES, SUBTREE
from filterd.rules.rewrites import OFF, Rewrite
from filterd.wire import names
from filterd.wire.synthesis import BlockAnswer

CATALOGUE, BASELINE, REGION, SCHOOL, GROUP, OVERRIDE = (
    "catalogue", "baseline", "region", "school", "group", "override"
)  # fmt: skip
AUTHORITY = {layer: rank for rank, layer in enumerate((CATALOGUE, BASELINE, REGION, SCHOOL, GROUP, OVERRIDE))}
"""Layers, the one with most authority first; the last one is the lowest, and nearest to the pupil."""

_NARROWNESS = {SUBTREE: 0, BELOW: 1, EXACT: 2}


@dataclass(frozen=True, slots=True)
class NameRule:
    """A name that a policy layer allows or blocks.

    Attributes:
        name: lower-case wire name.
        scope: EXACT, SUBTREE or BELOW.
        allow: allow, or else block.
        layer: who wrote it: ``baseline``, ``region``, ``school``, ``group`` or ``override``.
        locked: lower layers cannot change it.
        timed: it comes from the schedule of its layer, so it beats what that layer says for all times.
        reason: why, for people (R8).
        place: ``file:line:column``.
        service: id of the service it belongs to, when the layer named that and not the name itself.
        category: what a block of that service is counted as.
    """

    name: bytes
    scope: int
    allow: bool
    layer: str
    locked: bool = False
    timed: bool = False
    reason: str = ""
    place: str = ""
    service: str = ""
    category: str | None = None

    @property
    def closeness(self) -> tuple[int, int]:
        """How closely it names: longer is closer; of the same name, exact before below before subtree."""
        return len(self.name), _NARROWNESS[self.scope]

    @property
    def rank(self) -> tuple[int, int, int, bool]:
        """Order among rules of the same lock: the closest, then the lowest layer, then the timed."""
        return *self.closeness, AUTHORITY[self.layer], self.timed

    @property
    def text(self) -> str:
        """The rule in one line, as people read it in an event."""
        kind = "allow" if self.allow else "block"
        kind += f" service {self.service}:" if self.service else ""
        return f"{kind} {names.to_text(self.name)} ({SCOPE_NAMES[self.scope]})"


class NameRules:
    """The name rules of all layers of a view, found by name."""

    __slots__ = ("_by_name", "all")

    def __init__(self, rules: Iterable[NameRule] = ()) -> None:
        self.all = tuple(rules)
        by_name: dict[bytes, list[NameRule]] = {}
        for rule in self.all:
            by_name.setdefault(rule.name, []).append(rule)
        self._by_name = {name: tuple(found) for name, found in by_name.items()}

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def find(self, name: bytes) -> tuple[NameRule, ...]:
        """Return the rules that apply to a lower-case wire name, the nearest name first."""
        by_name = self._by_name
        found: tuple[NameRule, ...] = ()
        position = 0
        while length := name[position]:
            rules = by_name.get(name[position:])
            if rules is not None:
                unwanted = EXACT if position else BELOW
                found += tuple(rule for rule in rules if rule.scope != unwanted)
            position += 1 + length
        return found


class Level(NamedTuple):
    """The level of an engine after some layers.

    Attributes:
        level: of the engine.
        layer: who chose it.
        place: where, ``file:line:column``.
        floor: the level that a layer locked: no layer below goes under it.
        floor_layer, floor_place: who locked it and where.
    """

    level: str
    layer: str
    place: str
    floor: str = OFF
    floor_layer: str = ""
    floor_place: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A group's effective policy; equal only to itself, so it can be a key.

    Attributes:
        categories: what the bits mean.
        school, group, tier: whom it is for.
        locked: mask of the categories that nothing below the lock's layer lifts; also in ``blocked``.
        blocked: mask of the categories blocked now.
        timed: mask of the categories that are blocked in lessons only; in ``blocked`` too while they are.
        allowed: mask of the allow_* categories that count.
        exam: which layer says that only what an allow list or a name rule opens is allowed now; empty: none.
        names: name rules of all layers, those of services among them.
        safe_search: level of each engine that is not simply off, by id.
        rewrites: what the hosts of these engines get, by lower-case wire name.
        layer_of: which layer set the state of a category, by bit.
        place_of: where it is written, ``file:line:column``, by bit.
        answer: how a blocked question is answered.
        rebinding_allow: names (and all below) that may have private addresses.
        closed_without_lists: while there are no lists only what a name rule opens is answered (R21).
        generation: number of the policy that made it; a memo entry is valid for one generation.
        valid_from: UTC seconds since which it is known to hold, None for ever; a clock set back behind it
            needs another view.
        valid_until: UTC seconds at which another view holds, None for always.
    """

    categories: Categories
    school: str = "school"
    group: str = "default"
    tier: str = "middle"
    locked: int = 0
    blocked: int = 0
    timed: int = 0
    allowed: int = 0
    exam: str = ""
    names: NameRules = field(default_factory=NameRules)
    safe_search: Mapping[str, Level] = field(default_factory=dict)
    rewrites: Mapping[bytes, Rewrite] = field(default_factory=dict)
    layer_of: Mapping[int, str] = field(default_factory=dict)
    place_of: Mapping[int, str] = field(default_factory=dict)
    answer: BlockAnswer = field(default_factory=BlockAnswer)
    rebinding_allow: frozenset[bytes] = frozenset()
    closed_without_lists: bool = False
    generation: int = 1
    valid_from: float | None = None
    valid_until: float | None = None
