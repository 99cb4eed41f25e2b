"""Why a name is allowed or blocked, told to a person: the steps of the decision, and what would change it.

Runs the same steps as decide.py on the same case, so it cannot tell another story. Never shows the listed
names of illegal categories (R1).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from filterd.rules.clients import UNKNOWN, Device
from filterd.rules.decide import PRECEDENCE, SAFE_SEARCH, Case, decide, rewritten, weigh
from filterd.rules.index import SCOPE_NAMES, Index, Match, apply_exceptions
from filterd.rules.policy import Policy
from filterd.rules.rewrites import OFF, Rewrite
from filterd.rules.verdict import Action, Verdict
from filterd.rules.view import NameRule, View
from filterd.rules.words import moment
from filterd.wire import names

WITHHELD = "(not displayed)"
State = Literal["locked", "blocked", "allows", "not blocked"]


@dataclass(frozen=True, slots=True)
class ListedAs:
    """One entry of a list that covers the name.

    Attributes:
        name: the listed name, WITHHELD for illegal content.
        scope: ``exact``, ``subtree`` or ``below``.
        list_id, title, origin: the list.
        category: id, or ``bit N`` when this program does not know it.
        state: what the view does with the category.
        exception: the entry is an exception of its list.
        cancelled: an exception of the same list cancels it.
    """

    name: str
    scope: str
    list_id: str
    title: str
    origin: str
    category: str
    state: State
    exception: bool
    cancelled: bool


@dataclass(frozen=True, slots=True)
class StepTold:
    """One step of the precedence: what it said, or that it was not reached."""

    id: str
    why: str
    verdict: Verdict | None
    reached: bool


@dataclass(frozen=True, slots=True)
class ClientTold:
    """How a client came to its group; ``rule`` and ``place`` are None when the default group took it."""

    address: str
    mac: str | None
    group: str
    rule: str | None
    place: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole way from a name, and maybe a client, to the verdict.

    Attributes:
        name: as people read it.
        qtype: type asked for.
        view: what holds for the group.
        listed: every entry that covers the name, nearest first, exceptions and cancelled ones too.
        rules: every name rule that applies, nearest first.
        steps: the precedence, in order; safe search is the last, for what the others let pass.
        verdict: the same as ``decide`` gives.
        changes: what would change it, in words.
        client: how the client came to the group, None when only a view was given.
        others: verdict for each other group of the school.
        when: for which time, and until when; empty when no time was given.
    """

    name: str
    qtype: int
    view: View
    listed: tuple[ListedAs, ...]
    rules: tuple[NameRule, ...]
    steps: tuple[StepTold, ...]
    verdict: Verdict
    changes: tuple[str, ...]
    client: ClientTold | None = None
    others: Mapping[str, Verdict] = field(default_factory=dict)
    when: str = ""

    def lines(self) -> list[str]:
        """Return the explanation as lines of plain text."""
        told = [f"name      {self.name}", *self._client_lines(), *self._view_lines(), "lists"]
        told += [f"  {_listed_line(one)}" for one in self.listed] or ["  none names it"]
        told.append("rules")
        told += [f"  {_rule_line(rule)}" for rule in self.rules] or ["  no layer names it"]
        told.append("steps")
        for number, step in enumerate(self.steps, 1):
            said = summary(step.verdict) if step.verdict else "-" if step.reached else "not reached"
            told.append(f"  {number} {step.id}: {said}")
            if step.verdict:
                told.append(f"      {step.why}")
        told.append(f"verdict   {summary(self.verdict)}")
        told.append("what would change it")
        told += [f"  {change}" for change in self.changes]
        if self.others:
            told.append("other groups")
            told += [f"  {group}: {summary(verdict)}" for group, verdict in self.others.items()]
        return told

    def _client_lines(self) -> list[str]:
        client = self.client
        if client is None:
            return []
        who = client.address if client.mac is None else f"{client.address} ({client.mac})"
        by = f"{client.rule}, {client.place}" if client.rule else "no rule names it: the default group"
        return [f"client    {who}", f"group     {client.group}: {by}"]

    def _view_lines(self) -> list[str]:
        view, ids = self.view, self.view.categories.ids
        when = [f"time      {self.when}"] if self.when else []
        return [
            *when,
            f"view      school {view.school}, group {view.group}, tier {view.tier}",
            f"  locked  {' '.join(ids(view.locked)) or '-'}",
            f"  blocked {' '.join(ids(view.blocked & ~view.locked)) or '-'}",
            f"  safe search {' '.join(_levels(view)) or '-'}",
        ]


def explain(name: bytes, qtype: int, view: View, index: Index) -> Explanation:
    """Explain the verdict about a name for a view; arguments as of :func:`filterd.rules.decide.decide`."""
    candidates = index.candidates(name)
    case = Case(view, apply_exceptions(candidates), view.names.find(name), index)
    permitted = weigh(case)
    verdict = rewritten(name, view, permitted)
    steps: list[StepTold] = []
    reached = True
    for step in PRECEDENCE:
        said = step.weigh(case) if reached else None
        steps.append(StepTold(step.id, step.why, said, reached))
        reached = reached and said is None
    decided = steps[sum(step.reached for step in steps) - 1].id
    changes = _changes(case, permitted, decided)
    rewrite = view.rewrites.get(name)
    if verdict is not permitted and rewrite is not None:
        changes = _changes_of_engine(rewrite, permitted, view)
    steps.append(
        StepTold(
            SAFE_SEARCH.id,
            SAFE_SEARCH.why,
            verdict if verdict is not permitted else None,
            permitted.action is not Action.BLOCK,
        )
    )
    return Explanation(
        name=names.to_unicode(name),
        qtype=qtype,
        view=view,
        listed=tuple(_listed(match, case) for match in candidates),
        rules=case.rules,
        steps=tuple(steps),
        verdict=verdict,
        changes=tuple(changes),
    )


def explain_client(
    name: bytes,
    qtype: int,
    policy: Policy,
    index: Index,
    address: bytes,
    *,
    device: Device = UNKNOWN,
    at: float | None = None,
) -> Explanation:
    """Explain the verdict about a name for a client, and what the other groups of the school get.

    Args:
        name: lower-case wire name.
        qtype: type asked for.
        policy: the school's policy.
        index: the compiled lists.
        address: packed, 4 or 16 bytes.
        device: what else is known of the client.
        at: the instant, in UTC seconds; None as of :meth:`Policy.view`.
    """
    rule = policy.clients.match(address, device)
    group = rule.group if rule else policy.clients.default
    told = ClientTold(
        address=str(ipaddress.ip_address(address)),
        mac=device.mac.hex(":") if device.mac else None,
        group=group,
        rule=rule.text if rule else None,
        place=str(rule.place) if rule else None,
    )
    return replace(explain_group(name, qtype, policy, index, group, at=at), client=told)


def explain_group(
    name: bytes, qtype: int, policy: Policy, index: Index, group: str, *, at: float | None = None
) -> Explanation:
    """Explain the verdict about a name for a group; arguments as of :func:`explain_client`.

    Raises:
        KeyError: no such group.
    """
    others = {
        other: decide(name, qtype, policy.view(other, at), index) for other in policy.groups if other != group
    }
    told = explain(name, qtype, policy.view(group, at), index)
    return replace(told, others=others, when=_when(policy, group, at))


def _when(policy: Policy, group: str, at: float | None) -> str:
    if at is None:
        return ""
    schedule, view = policy.plans[group].schedule, policy.view(group, at)
    phase = schedule.wall(at).phase
    parts = [moment(at, policy.zone)]
    parts += [f"phase {phase}"] if phase is not None else []
    parts += [f"exam mode, set by {view.exam}"] if view.exam else []
    parts += [f"until {moment(view.valid_until, policy.zone)}"] if view.valid_until is not None else []
    return ", ".join(parts)


def summary(verdict: Verdict) -> str:
    """Return a verdict in one line."""
    parts = [verdict.action.value, f"({verdict.reason.value})"]
    parts += [f"category {verdict.category}"] if verdict.category else []
    parts += [f"list {verdict.list_id}"] if verdict.list_id else []
    parts += [f"rule: {verdict.rule}"] if verdict.rule else []
    parts += [f"set by {verdict.layer}"] if verdict.layer else []
    return ", ".join([" ".join(parts[:2]), *parts[2:]])


def _listed(match: Match, case: Case) -> ListedAs:
    entry, view = match.entry, case.view
    category = view.categories.by_bit.get(entry.category)
    info = case.index.lists.get(entry.list_no)
    return ListedAs(
        name=WITHHELD if category and category.illegal else names.to_text(match.name),
        scope=SCOPE_NAMES[entry.scope],
        list_id=info.id if info else f"list {entry.list_no}",
        title=info.title if info else "",
        origin=info.origin if info else "unknown",
        category=category.id if category else f"bit {entry.category}",
        state=_state(view, 1 << entry.category),
        exception=entry.allow,
        cancelled=not entry.allow and match not in case.matches,
    )


def _state(view: View, bit: int) -> State:
    if view.locked & bit:
        return "locked"
    if view.blocked & bit:
        return "blocked"
    return "allows" if view.allowed & bit else "not blocked"


def _listed_line(one: ListedAs) -> str:
    if one.exception:
        return f"{one.list_id} ({one.origin}) excepts {one.name} ({one.scope})"
    state = "cancelled by the list's own exception" if one.cancelled else one.state
    return f"{one.list_id} ({one.origin}) lists {one.name} ({one.scope}) as {one.category}: {state}"


def _rule_line(rule: NameRule) -> str:
    lock = ", locked" if rule.locked else ""
    return f"{rule.layer}{lock}: {rule.text}, because: {rule.reason or '-'} [{rule.place}]"


def _changes(case: Case, verdict: Verdict, step: str) -> list[str]:
    """Return what would change a verdict; what can be tried is tried, on a changed case."""
    if step == "locked_by_people":
        return ["no policy and no allow list lifts it", f"if it is wrong, tell who keeps {verdict.list_id}"]
    if step == "locked_public":
        return [
            "a school cannot lift a locked category",
            "an entry in an allow list (allow_help, allow_edu, allow_health, allow_system) opens it",
            "names.allow in the baseline with `locked: true` opens it",
            f"if it is wrong, tell who keeps {verdict.list_id}",
        ]
    if step in {"locked_name", "name_rule"}:
        return _changes_of_rule(case, verdict)
    if step == "allow_list":
        rest = replace(
            case,
            matches=tuple(one for one in case.matches if not case.view.allowed >> one.entry.category & 1),
        )
        return [
            f"without the allow lists: {summary(weigh(rest))}",
            "names.block in the school's or group's policy blocks it",
        ]
    if verdict.action is Action.BLOCK:
        return _changes_of_category(case, verdict)
    return [*_categories_off(case), "names.block in the school's or group's policy blocks it"]


def _levels(view: View) -> list[str]:
    """Return every engine with its level and who chose it."""
    return [f"{engine}: {one.level} ({one.layer})" for engine, one in sorted(view.safe_search.items())]


def _changes_of_engine(rewrite: Rewrite, permitted: Verdict, view: View) -> list[str]:
    engine, level = rewrite.engine, view.safe_search[rewrite.engine]
    known = view.categories.engines.by_id[engine]
    others = [one for one in (OFF, *known.levels) if known.strictness(one) >= known.strictness(level.floor)]
    changes = [
        f"safe_search: {{{engine}: {one}}} in the group's policy gives: "
        + (summary(permitted) if one == OFF else f"rewrite to {known.levels[one].text}")
        for one in others
        if one != level.level
    ]
    if level.floor != OFF:
        changes.append(f"it is locked at {level.floor_place}: nothing milder than {level.floor!r} below that")
    return [*changes, "names.block in the school's or group's policy blocks it"]


def _changes_of_rule(case: Case, verdict: Verdict) -> list[str]:
    said = next(rule for rule in case.rules if rule.text == verdict.rule and rule.layer == verdict.layer)
    rest = replace(case, rules=tuple(rule for rule in case.rules if rule is not said))
    changes = [f"without the rule at {said.place or said.layer}: {summary(weigh(rest))}"]
    if said.service:
        word = "block" if said.allow else "allow"
        changes.append(f"services.{word}: [{said.service}] in the group's policy holds for all its names")
    if said.locked:
        changes.append(f"it is locked: only the {said.layer} layer can change it")
    return changes


def _changes_of_category(case: Case, verdict: Verdict) -> list[str]:
    bit = case.view.categories.mask([verdict.category] if verdict.category else [])
    opened = replace(case, view=replace(case.view, blocked=case.view.blocked & ~bit))
    return [
        "names.allow in the school's or group's policy opens this name alone",
        f"categories.allow: [{verdict.category}] in the group's policy gives: {summary(weigh(opened))}",
        "an entry in an allow list that names it as closely opens it for every school",
    ]


def _categories_off(case: Case) -> list[str]:
    view = case.view
    off = {one.entry.category for one in case.matches} & set(view.categories.by_bit)
    ids = [
        view.categories.by_bit[bit].id for bit in sorted(off) if not (view.blocked | view.allowed) >> bit & 1
    ]
    return [f"categories.block: [{one}] in the group's policy blocks it" for one in ids]
