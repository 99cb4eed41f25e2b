"""A group's plan: what each layer adds, always or at times, and the views that come of it.

All is merged and checked when a policy is built; at a bell only masks are put together. Never reads a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

from filterd.rules.categories import Categories
from filterd.rules.choices import Levels, rewrites_of
from filterd.rules.merge import Standing, Standings
from filterd.rules.overrides import Override, overridden
from filterd.rules.schedule import ALWAYS, Schedule, State
from filterd.rules.view import CATALOGUE, Level, NameRule, NameRules, View
from filterd.wire.synthesis import BlockAnswer

_MAX_KEPT = 64  # views of a group kept to be given again: more than a week has different hours


class Step(NamedTuple):
    """What a part of a layer adds to the parts above it.

    Attributes:
        standings: the categories it changes.
        names: the names it allows or blocks, those of services among them.
        levels: the safe search it changes.
        condition: number of the schedule's condition under which it holds, None for always.
        exam: the layer, when it says that only what is opened is allowed.
        title, layer, place: of the line of the schedule, for people.
    """

    standings: Standings
    names: tuple[NameRule, ...] = ()
    levels: Levels = MappingProxyType({})
    condition: int | None = None
    exam: str = ""
    title: str = ""
    layer: str = ""
    place: str = ""


class Failing(NamedTuple):
    """What becomes of lookups while there are no lists (R21), who chose it, and where."""

    closed: bool = False
    layer: str = CATALOGUE
    place: str = ""


_OPEN = Failing()


@dataclass(frozen=True, slots=True)
class Frame:
    """What is the same in all views of a group; attributes as of :class:`View`.

    Attributes:
        answer_from: layer that chose the answer, and where.
        failing: what holds without lists.
    """

    categories: Categories
    school: str
    group: str
    tier: str
    answer: BlockAnswer
    rebinding_allow: frozenset[bytes]
    generation: int
    answer_from: tuple[str, str] = ("", "")
    failing: Failing = _OPEN


class Plan:
    """The steps of all layers for one group, from the catalogue down to the group itself.

    Args:
        frame: what is the same in all views.
        steps: what each part of each layer adds.
        schedule: when the timed ones hold.
        overrides: that concern the group, the oldest first.
    """

    __slots__ = ("_current", "_kept", "_rules", "frame", "overrides", "schedule", "steps")

    def __init__(
        self,
        frame: Frame,
        steps: Iterable[Step],
        schedule: Schedule | None = None,
        overrides: Iterable[Override] = (),
    ) -> None:
        self.frame = frame
        self.steps = tuple(steps)
        self.schedule = schedule or Schedule()
        self.overrides = tuple(overrides)
        self._kept: dict[tuple[State, tuple[Override, ...]], View] = {}
        self._rules: dict[tuple[int, ...], NameRules] = {}
        self._current: View | None = None

    def view(self, at: float | None = None) -> View:
        """Return what holds at an instant (UTC seconds): the same object until something changes.

        Without an instant: what holds in lessons, beside schedules and overrides.
        """
        if at is None:
            return self._merged(ALWAYS, ())
        now = self._current
        if (
            now is None
            or (now.valid_until is not None and at >= now.valid_until)
            or (now.valid_from is not None and at < now.valid_from)
        ):
            now = self._current = self._at(at)
        return now

    def under(self, overrides: Iterable[Override], generation: int) -> Plan:
        """Return the plan under other overrides; itself when they are the same."""
        own = tuple(one for one in overrides if one.concerns(self.frame.group))
        if own == self.overrides:
            return self
        made = Plan(replace(self.frame, generation=generation), self.steps, self.schedule, own)
        made._rules = self._rules  # of the same steps
        return made

    def active(self, at: float) -> tuple[Step, ...]:
        """Return the timed steps that hold at an instant."""
        numbers = self.schedule.span(at).state.active
        return tuple(step for step in self.steps if step.condition is not None and step.condition in numbers)

    def _at(self, at: float) -> View:
        overrides = tuple(one for one in self.overrides if at < one.until)
        span = self.schedule.span(at)
        view = self._merged(span.state, overrides)
        ends = [one.until for one in overrides]
        if span.until is not None:
            ends.append(span.until)
        if not ends and len(overrides) == len(self.overrides):
            return view
        # Behind `valid_from` this view was not looked for: a clock that is set back gets another.
        return replace(view, valid_from=at, valid_until=min(ends, default=None))

    def _merged(self, state: State, overrides: tuple[Override, ...]) -> View:
        key = (state, overrides)
        view = self._kept.get(key)
        if view is None:
            if len(self._kept) >= _MAX_KEPT:
                self._kept.clear()
            view = self._kept[key] = overridden(self._view(state), overrides)
        return view

    def _view(self, state: State) -> View:
        frame, categories = self.frame, self.frame.categories
        steps = [
            (number, step)
            for number, step in enumerate(self.steps)
            if step.condition is None or step.condition in state.active
        ]
        standings: dict[str, Standing] = {}
        levels: dict[str, Level] = {}
        for _, step in steps:
            standings.update(step.standings)
            levels.update(step.levels)
        by_id = categories.by_id
        return View(
            categories=categories,
            school=frame.school,
            group=frame.group,
            tier=frame.tier,
            locked=mask(standings, categories, "X"),
            blocked=mask(standings, categories, "XBT" if state.lessons else "XB"),
            timed=mask(standings, categories, "T"),
            allowed=categories.allowing,
            exam=next((step.exam for _, step in reversed(steps) if step.exam), ""),
            names=self._names(tuple(number for number, step in steps if step.names)),
            safe_search=MappingProxyType(levels),
            rewrites=rewrites_of(levels, categories.engines),
            layer_of=_by_bit({by_id[one].bit: standing.layer for one, standing in standings.items()}),
            place_of=_by_bit({by_id[one].bit: standing.place for one, standing in standings.items()}),
            answer=frame.answer,
            rebinding_allow=frame.rebinding_allow,
            closed_without_lists=frame.failing.closed,
            generation=frame.generation,
        )

    def _names(self, steps: tuple[int, ...]) -> NameRules:
        """Return the name rules of some steps: thousands of names are not put together anew at each bell."""
        found = self._rules.get(steps)
        if found is None:
            if len(self._rules) >= _MAX_KEPT:
                self._rules.clear()
            found = self._rules[steps] = NameRules(
                rule for number in steps for rule in self.steps[number].names
            )
        return found


def mask(standings: Standings, categories: Categories, states: str) -> int:
    """Return the mask of the categories that are in one of some states."""
    return categories.mask(one for one, standing in standings.items() if standing.state in states)


def _by_bit(found: dict[int, str]) -> Mapping[int, str]:
    return MappingProxyType(found)
