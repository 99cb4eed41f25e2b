"""What is different between two policies, in words: what people approve before it is put in force.

Says what each policy means, not how it is written: a line moved to another layer without effect is no change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from filterd.rules.plan import Plan
from filterd.rules.policy import Policy
from filterd.rules.view import View
from filterd.rules.words import STATES, rule_words, table, what, when
from filterd.wire import names

_EVERY = "all groups"


def changes(old: Policy, new: Policy) -> list[str]:
    """Return what changes, one sentence each; what holds for all groups is said once."""
    said = [*_of_school(old, new), *_of_clients(old, new)]
    common = [group for group in new.groups if group in old.groups]
    sentences: dict[str, list[str]] = {}
    for group in common:
        for sentence in dict.fromkeys(_of_group(old, new, group)):
            sentences.setdefault(sentence, []).append(group)
    for sentence, groups in sentences.items():
        whom = _EVERY if len(groups) == len(common) > 1 else ", ".join(groups)
        said.append(f"{whom}: {sentence}")
    return said


def _of_school(old: Policy, new: Policy) -> Iterator[str]:
    values = (
        ("school", old.school, new.school),
        ("region", old.region or "none", new.region or "none"),
        ("time zone", str(old.zone), str(new.zone)),
        ("default group", old.clients.default, new.clients.default),
    )
    for what_, before, after in values:
        if before != after:
            yield f"{what_}: {before} becomes {after}"
    for group in old.groups:
        if group not in new.groups:
            yield f"group {group} is gone"
    for group, info in new.groups.items():
        if group not in old.groups:
            yield f"group {group} is new, tier {info.tier}"


def _of_clients(old: Policy, new: Policy) -> Iterator[str]:
    before = {rule.text: rule.group for rule in old.clients.rules}
    after = {rule.text: rule.group for rule in new.clients.rules}
    for client, group in before.items():
        if client not in after:
            yield f"client {client} does not belong to {group} any more"
        elif after[client] != group:
            yield f"client {client} goes from {group} to {after[client]}"
    for client, group in after.items():
        if client not in before:
            yield f"client {client} belongs to {group} now"


def _of_group(old: Policy, new: Policy, group: str) -> Iterator[str]:
    before, after = old.view(group), new.view(group)
    if before.tier != after.tier:
        yield f"tier {before.tier} becomes {after.tier}"
    yield from _differences("category ", _states(before), _states(after), gone="no category any more")
    yield from _differences(
        "safe search ",
        {engine: level.level for engine, level in before.safe_search.items()},
        {engine: level.level for engine, level in after.safe_search.items()},
        gone="off",
    )
    yield from _of_rules(before, after)
    if before.answer != after.answer:
        yield f"a block is answered by {after.answer.mode}, ttl {after.answer.ttl}"
    if before.closed_without_lists != after.closed_without_lists:
        yield f"without lists lookups {'are refused' if after.closed_without_lists else 'go on'} now"
    for name in after.rebinding_allow - before.rebinding_allow:
        yield f"{names.to_unicode(name)} may have private addresses now"
    for name in before.rebinding_allow - after.rebinding_allow:
        yield f"{names.to_unicode(name)} may not have private addresses any more"
    yield from _of_times(old.plans[group], new.plans[group])


def _of_rules(before: View, after: View) -> Iterator[str]:
    had, has = (dict.fromkeys(_rules(view)) for view in (before, after))
    for rule in had:
        if rule not in has:
            yield f"no layer {rule} any more"
    for rule in has:
        if rule not in had:
            yield f"a layer {rule} now"


def _rules(view: View) -> Iterator[str]:
    for rule in view.names.all:
        yield rule_words(rule) + (" and locks it" if rule.locked else "")


def _of_times(old: Plan, new: Plan) -> Iterator[str]:
    before, after = (dict(table(plan.schedule.timetable)) for plan in (old, new))
    if before and not after:
        yield "there is no timetable any more: what is timed is blocked at all times"
    elif after and not before:
        yield "there is a timetable now: what is timed is blocked in lessons only"
    else:
        yield from _differences("", before, after, gone="none")
    had, has = (dict.fromkeys(_lines(plan)) for plan in (old, new))
    for line in had:
        if line not in has:
            yield f"no schedule any more for: {line}"
    for line in has:
        if line not in had:
            yield f"a schedule now for: {line}"


def _lines(plan: Plan) -> Iterator[str]:
    for step in plan.steps:
        if step.condition is not None:
            yield f"{when(plan.schedule.conditions[step.condition])}: {what(step)}"


def _differences(
    kind: str, before: Mapping[str, str], after: Mapping[str, str], *, gone: str
) -> Iterator[str]:
    for key in dict.fromkeys((*before, *after)):
        was, now = before.get(key, gone), after.get(key, gone)
        if was != now:
            yield f"{kind}{key}: {was} becomes {now}"


def _states(view: View) -> dict[str, str]:
    found = {}
    for category in view.categories.all:
        bit = 1 << category.bit
        if category.kind == "allow":
            continue
        state = "X" if view.locked & bit else "T" if view.timed & bit else "B" if view.blocked & bit else "A"
        found[category.id] = STATES[state]
    return found
