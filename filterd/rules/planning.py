"""From checked layers to the plan of each group: every part of every layer becomes one step, in order.

Every step is held against the locks above it here, when a policy is built. Never reads a file or a clock.
"""

from __future__ import annotations

from collections.abc import Mapping

from filterd.rules.categories import TIERS, Categories, Tier
from filterd.rules.choices import Levels, changed_levels, service_rules, tier_levels
from filterd.rules.layers import Answer, Baseline, Group, Line, Region, School
from filterd.rules.merge import (
    Tiers,
    catalogue_standings,
    changed,
    name_rules,
    tier_standings,
    wire_names_of,
)
from filterd.rules.plan import Failing, Frame, Plan, Step
from filterd.rules.schedule import Condition, Schedule
from filterd.rules.timetable import Timetable
from filterd.rules.timing import Times, TimetableModel
from filterd.rules.view import GROUP, SCHOOL, NameRule
from filterd.rules.yamlsource import Section

Part = School | Group | Line
"""What a layer's part has in common: categories, services, names, safe search."""


class Upper:
    """The layers above the school, merged one after the other."""

    def __init__(self, categories: Categories) -> None:
        self.categories = categories
        self.tiers: Tiers = catalogue_standings(categories)
        self.levels: Mapping[Tier, Levels] = {tier: {} for tier in TIERS}
        self.names: tuple[NameRule, ...] = ()
        self.rebinding: frozenset[bytes] = frozenset()
        self.timetables: list[tuple[TimetableModel | None, Section]] = []
        self.answer = Answer().value()
        self.answer_from = ("", "")
        self.failing = Failing()

    def add(self, layer: Baseline | Region, name: str, section: Section) -> None:
        """Put a layer below those that were added before."""
        self.tiers = tier_standings(self.tiers, layer.tiers, name, section.inner("tiers"), self.categories)
        self.levels = tier_levels(
            self.levels, layer.safe_search, name, section.inner("safe_search"), self.categories.engines
        )
        self.names += name_rules(layer.names, name, section.inner("names"), self.names) + service_rules(
            layer.services, name, section.inner("services"), self.names, self.categories.services
        )
        self.rebinding |= wire_names_of(layer.rebinding_allow, section.inner("rebinding_allow"))
        self.timetables.append((layer.timetable, section.inner("timetable")))
        if layer.answer is not None:
            self.answer = layer.answer.value()
            self.answer_from = name, str(section.place("answer"))
        self.failing = _failing(self.failing, layer, name, section)


class Lower:
    """Makes the plans of one school's groups; what all groups share is merged once."""

    def __init__(self, upper: Upper, school: School, own: Section, times: Times, *, generation: int) -> None:
        self._upper = upper
        self._school = school
        self._own = own
        self._times = times
        self._generation = generation
        self._schedules: dict[object, Schedule] = {}
        self._names = self.names_of(school, SCHOOL, own, upper.names)
        over = upper.names + self._names
        self._line_names = [
            self.names_of(line, SCHOOL, own.inner("schedule", number), over, timed=True)
            for number, line in enumerate(school.schedule)
        ]
        self._answer, self._answer_from = upper.answer, upper.answer_from
        if school.answer is not None:
            self._answer, self._answer_from = school.answer.value(), (SCHOOL, str(own.place("answer")))
        self._failing = _failing(upper.failing, school, SCHOOL, own)
        self._rebinding = upper.rebinding | wire_names_of(
            school.rebinding_allow, own.inner("rebinding_allow")
        )

    def plan(self, group: Group, number: int) -> Plan:
        """Return the plan of a group."""
        upper, school, part = self._upper, self._school, self._own.inner("groups", number)
        timetable = self._times.timetable(group.bells, part)
        steps = _Steps(upper, group.tier, self._times, timetable)
        steps.add(school, SCHOOL, self._own, self._names)
        for one, line in enumerate(school.schedule):
            steps.add_line(line, SCHOOL, self._own.inner("schedule", one), self._line_names[one])
        over = upper.names + self._names
        names = self.names_of(group, GROUP, part, over)
        steps.add(group, GROUP, part, names)
        for one, line in enumerate(group.schedule):
            here = part.inner("schedule", one)
            own = self.names_of(line, GROUP, here, over + names, timed=True)
            steps.add_line(line, GROUP, here, own)
        frame = Frame(
            categories=upper.categories,
            school=school.school,
            group=group.id,
            tier=group.tier,
            answer=self._answer,
            rebinding_allow=self._rebinding,
            generation=self._generation,
            answer_from=self._answer_from,
            failing=self._failing,
        )
        schedule = steps.schedule(self._schedules)
        plan = Plan(frame, steps.made, schedule)
        plan.view()  # what takes longest is done now, in whatever thread this is, and not at the first bell
        return plan

    def names_of(
        self, part: Part, layer: str, here: Section, above: tuple[NameRule, ...], *, timed: bool = False
    ) -> tuple[NameRule, ...]:
        """Return the name rules of a part of a layer, those of services among them."""
        services = self._upper.categories.services
        return name_rules(part.names, layer, here.inner("names"), above, timed=timed) + service_rules(
            part.services, layer, here.inner("services"), above, services, timed=timed
        )


def _failing(above: Failing, layer: Baseline | Region | School, name: str, section: Section) -> Failing:
    """Return what holds without lists after a layer.

    Raises:
        PolicyError: it opens what a layer above closes; names both places.
    """
    if layer.without_lists is None:
        return above
    here = section.inner("without_lists")
    if layer.without_lists == "open" and above.closed:
        raise here.wrong(
            f"`closed` is set at {above.place} and cannot be opened here",
            remedy="remove it here, or ask whoever keeps that file",
        )
    return Failing(layer.without_lists == "closed", name, str(here.place()))


class _Steps:
    """Puts one group's steps below one another, each checked against those above."""

    def __init__(self, upper: Upper, tier: Tier, times: Times, timetable: Timetable | None) -> None:
        self._categories = upper.categories
        self._times = times
        self._timetable = timetable
        self._standings = upper.tiers[tier]
        self._levels = upper.levels[tier]
        self._conditions: list[Condition] = []
        self.made = [Step(self._standings, upper.names, self._levels)]

    def add(self, part: School | Group, layer: str, here: Section, names: tuple[NameRule, ...]) -> None:
        """Add what a layer says for all times."""
        step = self._step(part, layer, here, names)
        self._standings = {**self._standings, **step.standings}
        self._levels = {**self._levels, **step.levels}
        self.made.append(step)

    def add_line(self, line: Line, layer: str, here: Section, names: tuple[NameRule, ...]) -> None:
        """Add a line of a layer's schedule."""
        self._conditions.append(self._times.condition(line, here, self._timetable))
        self.made.append(
            self._step(line, layer, here, names)._replace(
                condition=len(self._conditions) - 1,
                exam=layer if line.exam else "",
                title=line.title or "",
                layer=layer,
                place=str(here.place()),
            )
        )

    def schedule(self, known: dict[object, Schedule]) -> Schedule:
        """Return when the lines hold: the same object for groups that have the same hours."""
        timed = any(one.state == "T" for one in self._standings.values()) or any(
            one.state == "T" for step in self.made[1:] for one in step.standings.values()
        )
        key = (id(self._timetable), tuple(self._conditions), timed)
        if key not in known:
            known[key] = Schedule(self._times.zone, self._timetable, self._conditions, lessons_matter=timed)
        return known[key]

    def _step(self, part: Part, layer: str, here: Section, names: tuple[NameRule, ...]) -> Step:
        categories = self._categories
        standings = changed(self._standings, part.categories, layer, here.inner("categories"), categories)
        levels = changed_levels(
            self._levels, part.safe_search, layer, here.inner("safe_search"), categories.engines
        )
        return Step(standings, names, levels)
