"""The effective policy of a group at an instant: each line with the layer and the place that decided it.

Told from the same view that decides, so it cannot tell another story.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from filterd.rules.policy import Policy
from filterd.rules.view import CATALOGUE, NameRule, View
from filterd.rules.words import moment, what, when
from filterd.wire import names


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an effective policy.

    Attributes:
        section: ``group``, ``schedule``, ``override``, ``category``, ``safe_search``, ``service``, ``name``,
            ``answer``, ``no_lists`` or ``private``.
        subject: what it is about, by id or name.
        says: what holds.
        layer: who decided it; empty where nobody had to.
        place: where, ``file:line:column``.
        why: the reason that was given; may be empty.
    """

    section: str
    subject: str
    says: str
    layer: str = ""
    place: str = ""
    why: str = ""


def effective(policy: Policy, group: str, at: float) -> list[Line]:
    """Return what holds for a group at an instant (UTC seconds).

    Raises:
        KeyError: no such group.
    """
    view = policy.view(group, at)
    return [
        *_group(policy, view, at),
        *_times(policy, group, at),
        *_categories(view),
        *_safe_search(view),
        *_names(view),
        *_answers(policy, view),
    ]


def _group(policy: Policy, view: View, at: float) -> Iterator[Line]:
    yield Line("group", view.group, f"school {view.school}, tier {view.tier}")
    wall = policy.plans[view.group].schedule.wall(at)
    phase = f", {wall.phase}" if wall.phase is not None else ", no timetable: timed categories are blocked"
    yield Line("group", "time", f"{moment(at, policy.zone)} {policy.zone}{phase}")
    if view.valid_until is not None:
        yield Line("group", "until", moment(view.valid_until, policy.zone))
    if view.exam:
        yield Line("group", "exam", "only what an allow list or a name rule opens is allowed", view.exam)


def _times(policy: Policy, group: str, at: float) -> Iterator[Line]:
    plan = policy.plans[group]
    for step in plan.active(at):
        if step.condition is not None:
            time = when(plan.schedule.conditions[step.condition])
            yield Line("schedule", step.title or time, what(step), step.layer, step.place)
    for one in plan.overrides:
        if at < one.until:
            until = moment(one.until, policy.zone)
            yield Line("override", str(one.id), f"{one.text} until {until}", one.author, "", one.reason)


def _categories(view: View) -> Iterator[Line]:
    for category in view.categories.all:
        bit = 1 << category.bit
        if category.kind == "allow":
            says = "opens what it lists" if view.allowed & bit else "does not count"
        elif view.locked & bit:
            says = "blocked, locked"
        elif view.timed & bit:
            says = "timed: blocked now" if view.blocked & bit else "timed: open now"
        else:
            says = "blocked" if view.blocked & bit else "allowed"
        layer = view.layer_of.get(category.bit, CATALOGUE)
        yield Line("category", category.id, says, layer, view.place_of.get(category.bit, ""))


def _safe_search(view: View) -> Iterator[Line]:
    for engine, level in sorted(view.safe_search.items()):
        locked = f", locked at {level.floor} by {level.floor_layer}" if level.floor_layer else ""
        yield Line("safe_search", engine, f"{level.level}{locked}", level.layer, level.place)


def _names(view: View) -> Iterator[Line]:
    services: set[tuple[str, str]] = set()
    for rule in view.names.all:
        if not rule.service:
            yield Line("name", names.to_unicode(rule.name), _says(rule), rule.layer, rule.place, rule.reason)
        elif (rule.service, rule.place) not in services:
            services.add((rule.service, rule.place))
            yield Line("service", rule.service, _says(rule), rule.layer, rule.place)


def _says(rule: NameRule) -> str:
    word = "allowed" if rule.allow else "blocked"
    extra = [
        text for text, holds in (("locked", rule.locked), ("by schedule or override", rule.timed)) if holds
    ]
    return ", ".join([word, *extra])


def _answers(policy: Policy, view: View) -> Iterator[Line]:
    layer, place = policy.plans[view.group].frame.answer_from
    yield Line("answer", view.answer.mode, f"ttl {view.answer.ttl}", layer, place)
    failing = policy.plans[view.group].frame.failing
    says = "lookups are refused" if failing.closed else "lookups go on, by names and safe search alone"
    yield Line("no_lists", "closed" if failing.closed else "open", says, failing.layer, failing.place)
    for name in sorted(view.rebinding_allow):
        yield Line("private", names.to_unicode(name), "may have private addresses")
