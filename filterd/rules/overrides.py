"""Temporary overrides: an adult opens or closes something for a group until a time, with a reason (R4, R25).

Values and what they do to a view; storing and auditing them is app/policyoverrides.py's. An override never
lifts a lock: what is locked when it is asked for is refused, what is locked later stays locked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from filterd.errors import BadName, PolicyError
from filterd.rules.choices import rewrites_of
from filterd.rules.index import SUBTREE
from filterd.rules.view import OVERRIDE, NameRule, NameRules, View
from filterd.rules.yamlsource import meant
from filterd.wire import names

EVERYONE = "*"
MAX_SECONDS = 92 * 86_400  # what should last longer than a term belongs into the policy


@dataclass(frozen=True, slots=True)
class Override:
    """One temporary override.

    Attributes:
        id: number, for ending it early; never used twice.
        group: id of the group, ``*`` for all groups.
        kind: what it is about; ``filtering`` is everything that is not locked, and can only be allowed.
        value: the name as text, or the id of the category; empty for ``filtering``.
        allow: open it, or else close it.
        until: UTC seconds at which it ends.
        reason, author: why and who, for the audit.
        made: UTC seconds at which it was given.
    """

    id: int
    group: str
    kind: Literal["name", "category", "filtering"]
    value: str
    allow: bool
    until: float
    reason: str
    author: str
    made: float = 0.0

    @property
    def text(self) -> str:
        """The override in a few words."""
        what = "all filtering" if self.kind == "filtering" else f"{self.kind} {self.value}"
        group = "all groups" if self.group == EVERYONE else f"group {self.group}"
        return f"{'allow' if self.allow else 'block'} {what} for {group}"

    def concerns(self, group: str) -> bool:
        """Return whether it holds for a group."""
        return self.group in (EVERYONE, group)


def check(override: Override, views: Mapping[str, View]) -> None:
    """Check an override before it is given.

    Args:
        override: what is asked for.
        views: the view of each group of the school.

    Raises:
        PolicyError: an unknown group or category, not a domain name, or something that is locked, naming the
            place of the lock.
    """
    concerned = [view for group, view in views.items() if override.concerns(group)]
    if not concerned:
        raise PolicyError(f"no group {override.group!r}", remedy=meant(override.group, views))
    if override.kind == "filtering" and not override.allow:
        raise PolicyError("all names cannot be blocked by an override", remedy="plan an exam in the schedule")
    for view in concerned:
        if override.kind == "category":
            _check_category(override, view)
        elif override.kind == "name":
            _check_name(override, view)


def _check_category(override: Override, view: View) -> None:
    category = view.categories.by_id.get(override.value)
    if category is None:
        raise PolicyError(
            f"unknown category {override.value!r}", remedy=meant(override.value, view.categories.by_id)
        )
    if category.kind == "allow":
        raise PolicyError(
            f"{category.id!r} is an allow list and stays as it is", remedy="name the site instead"
        )
    if override.allow and view.locked >> category.bit & 1:
        place = view.place_of.get(category.bit, "")
        raise PolicyError(
            f"{category.id!r} is locked for group {view.group!r} at {place}",
            remedy="no override lifts a lock; ask whoever keeps that file",
        )


def _check_name(override: Override, view: View) -> None:
    rule = _rule(override)
    locks = NameRules(one for one in view.names.all if one.locked).find(rule.name)
    lock = max(locks, key=lambda one: one.closeness, default=None)
    if lock is not None and lock.allow is not override.allow:
        word = "kept open" if lock.allow else "blocked"
        raise PolicyError(
            f"{override.value!r} is locked for group {view.group!r}: it is {word} at {lock.place}",
            remedy="no override lifts a lock; ask whoever keeps that file",
        )


def _rule(override: Override) -> NameRule:
    try:
        name = names.from_text(override.value)
    except BadName as error:
        raise PolicyError(f"{override.value!r} is not a domain name: {error.message}") from error
    if len(names.labels(name)) < (2 if override.allow else 1) or b"*" in name:
        raise PolicyError(f"{override.value!r} is too wide", remedy="name the host; all below it is meant")
    return NameRule(
        name=name,
        scope=SUBTREE,
        allow=override.allow,
        layer=OVERRIDE,
        timed=True,
        reason=override.reason,
        place=f"override {override.id}",
    )


def overridden(view: View, overrides: Iterable[Override]) -> View:
    """Return the view under overrides that hold for its group now, the oldest first.

    Raises:
        PolicyError: an override that :func:`check` would not have let pass.
    """
    rules: list[NameRule] = []
    for one in overrides:
        if one.kind == "filtering":
            view = _opened(view)
        elif one.kind == "name":
            rules.append(_rule(one))
        else:
            view = _category(view, one)
    return replace(view, names=NameRules((*view.names.all, *rules))) if rules else view


def _opened(view: View) -> View:
    """Return the view without anything that is not locked: safe search goes down to what a layer locked."""
    levels = {engine: level._replace(level=level.floor) for engine, level in view.safe_search.items()}
    return replace(
        view,
        blocked=view.locked,
        exam="",
        names=NameRules(rule for rule in view.names.all if rule.allow or rule.locked),
        safe_search=MappingProxyType(levels),
        rewrites=rewrites_of(levels, view.categories.engines),
    )


def _category(view: View, override: Override) -> View:
    category = view.categories.by_id.get(override.value)
    if category is None or view.locked >> category.bit & 1:
        return view  # the policy changed since: gone, or locked
    bit = 1 << category.bit
    blocked = view.blocked & ~bit if override.allow else view.blocked | bit
    return replace(
        view,
        blocked=blocked,
        layer_of=MappingProxyType({**view.layer_of, category.bit: OVERRIDE}),
        place_of=MappingProxyType({**view.place_of, category.bit: f"override {override.id}"}),
    )
