"""The public policy page: what is filtered for whom and why, and what is not inspected (R7, R8).

Made from the policy in force and the lists in use, in each language, as one file that needs nothing else.
Never shows names of illegal content, addresses of clients, or anything about a device.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from typing import Final, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from filterd.app.policyfiles import policy_to_ask
from filterd.config.load import Config
from filterd.i18n import N_, Language
from filterd.lists.catalogue import load_catalogue
from filterd.lists.showing import Shown, show
from filterd.rules.categories import Categories, Category
from filterd.rules.policy import GroupInfo, Policy
from filterd.rules.view import BASELINE, CATALOGUE, GROUP, OVERRIDE, REGION, SCHOOL, NameRule, View
from filterd.wire import names

State = Literal["locked", "blocked", "lessons", "open"]

LAYERS: Final = {
    CATALOGUE: N_("the product's defaults"),
    BASELINE: N_("the ministry"),
    REGION: N_("the region"),
    SCHOOL: N_("the school"),
    GROUP: N_("the school, for this group"),
    OVERRIDE: N_("an adult at the school, for a limited time"),
}
STATES: Final = {
    "locked": N_("blocked for good"),
    "blocked": N_("blocked"),
    "lessons": N_("blocked in lessons"),
    "open": N_("open"),
}
LEVELS: Final = {"on": N_("on"), "strict": N_("strict"), "moderate": N_("moderate")}


@dataclass(frozen=True, slots=True)
class Row:
    """A category and its state in each group, in the order of the groups."""

    category: Category
    states: tuple[State, ...]
    no_source: bool


@dataclass(frozen=True, slots=True)
class Exempt:
    """A name that a layer allows or blocks, with the reason that its author published."""

    name: str
    allow: bool
    layer: str
    reason: str


@dataclass(frozen=True, slots=True)
class Source:
    """A list in use."""

    title: str
    category: Category
    licence: str
    attribution: str
    day: date | None  # when the copy came; None: kept by people


@dataclass(frozen=True, slots=True)
class Publication:
    """All that the page tells; no language yet."""

    made: datetime
    policy: Policy
    groups: tuple[GroupInfo, ...]
    rows: tuple[Row, ...]
    engines: tuple[tuple[str, tuple[str, ...]], ...]  # engine -> level in each group, "" off
    exempt: tuple[Exempt, ...]
    sources: tuple[Source, ...]


def publication(config: Config, *, at: float | None = None) -> Publication:
    """Return what is to be published of the policy in force and the lists in use.

    Args:
        config: of the box.
        at: UTC seconds; now by default.

    Raises:
        FilterdError: policy, categories or lists cannot be read.
    """
    now = time.time() if at is None else at
    policy = policy_to_ask(config, at=now)
    categories = policy.categories
    shown = show(load_catalogue(config.papers.catalogue, categories), categories, config.state.lists)
    groups = tuple(policy.groups.values())
    views = [policy.view(group.id) for group in groups]
    return Publication(
        made=datetime.fromtimestamp(now, policy.zone),
        policy=policy,
        groups=groups,
        rows=tuple(_rows(categories, views, frozenset(shown.uncovered))),
        engines=tuple(_engines(views)),
        exempt=tuple(_exempt(views)),
        sources=tuple(_sources(shown, categories)),
    )


def render(found: Publication, language: Language) -> str:
    """Return the page in a language, as HTML."""
    return _template().render(
        found=found,
        language=language,
        _=language.gettext,
        title=found.policy.title.get(language.code, found.policy.school),
        layers=LAYERS,
        states=STATES,
        levels=LEVELS,
    )


def _rows(categories: Categories, views: Sequence[View], uncovered: frozenset[str]) -> Iterator[Row]:
    for category in categories.all:
        if category.kind == "block":
            states = tuple(_state(view, category.bit) for view in views)
            yield Row(category, states, category.id in uncovered)


def _state(view: View, bit: int) -> State:
    if view.locked >> bit & 1:
        return "locked"
    if view.timed >> bit & 1:
        return "lessons"
    return "blocked" if view.blocked >> bit & 1 else "open"


def _engines(views: Sequence[View]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for engine in sorted({engine for view in views for engine in view.safe_search}):
        levels = (view.safe_search.get(engine) for view in views)
        yield engine, tuple(level.level if level is not None else "" for level in levels)


def _exempt(views: Sequence[View]) -> Iterator[Exempt]:
    found: dict[tuple[bytes, bool, str], NameRule] = {}
    for view in views:
        for rule in view.names.all:
            if rule.reason and not rule.service:
                found.setdefault((rule.name, rule.allow, rule.layer), rule)
    for rule in sorted(found.values(), key=lambda rule: (not rule.allow, names.to_unicode(rule.name))):
        yield Exempt(names.to_unicode(rule.name), rule.allow, rule.layer, rule.reason)


def _sources(shown: Shown, categories: Categories) -> Iterator[Source]:
    for one in shown.lists:
        category = categories.by_id.get(one.category)
        if one.compiled and category is not None:
            day = datetime.fromtimestamp(one.fetched_at, UTC).date() if one.fetched_at else None
            yield Source(one.title, category, one.licence, one.attribution, day)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("filterd.app"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("policy.html")
