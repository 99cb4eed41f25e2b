"""How layers become one: states of categories and name rules, with every lock held.

A lower layer may tighten anything; loosening what an upper layer locked is an error that names both places
(R9). Works on parsed files, so that errors point into them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from filterd.errors import BadName, SourceError
from filterd.rules.categories import TIERS, Categories, Category, State, Tier
from filterd.rules.layers import SCOPES, Changes, LockableName, LockableNames, Names
from filterd.rules.view import BASELINE, CATALOGUE, NameRule, NameRules
from filterd.rules.yamlsource import Section, meant
from filterd.wire import names


class Standing(NamedTuple):
    """The state of a category after some layers.

    Attributes:
        state: X, B, T or A.
        layer: the layer that set it.
        place: ``file:line:column`` of where it did, for errors of lower layers.
    """

    state: State
    layer: str
    place: str


Standings = Mapping[str, Standing]  # by category id
Tiers = Mapping[Tier, Standings]


def catalogue_standings(categories: Categories) -> Tiers:
    """Return the standings of every tier before any layer: the defaults of the catalogue."""
    return {
        tier: {
            one.id: Standing(one.tiers[tier], CATALOGUE, categories.place(one.id, tier))
            for one in categories.all
        }
        for tier in TIERS
    }


def tier_standings(
    above: Tiers,
    tiers: Mapping[Tier, Mapping[str, State]],
    layer: str,
    section: Section,
    categories: Categories,
) -> Tiers:
    """Return the standings of every tier after the ``tiers`` of the baseline or the region.

    Raises:
        PolicyError: an unknown category, illegal content not locked, an allow list that is not allowed, or a
            region that opens what the baseline locked, naming both places.
    """
    merged = {tier: dict(standings) for tier, standings in above.items()}
    for tier, states in tiers.items():
        for category_id, state in states.items():
            here = section.inner(tier, category_id)
            category = _known(category_id, categories, here, key=True)
            _permitted(category, state, here)
            before = merged[tier][category_id]
            # The catalogue holds defaults: the baseline is the first who locks, illegal content apart.
            if before.state == "X" and state != "X" and layer != BASELINE:
                raise _locked(category_id, before, here)
            merged[tier][category_id] = Standing(state, layer, str(here.place()))
    return merged


def _permitted(category: Category, state: State, here: Section) -> None:
    if category.illegal and state != "X":
        raise here.wrong(
            f"{category.id!r} is illegal content and stays locked for everyone", remedy="write X"
        )
    if category.kind == "allow" and state != "A":
        raise here.wrong(f"{category.id!r} is an allow list and stays allowed", remedy="write A")


def _locked(category_id: str, lock: Standing, here: Section) -> SourceError:
    return here.wrong(
        f"{category_id!r} is locked at {lock.place} and cannot be allowed here",
        remedy="remove it here, or ask whoever keeps that file",
    )


def changed(
    above: Standings, changes: Changes, layer: str, section: Section, categories: Categories
) -> Standings:
    """Return what a layer's ``categories`` change.

    Args:
        above: the standings of all layers above.
        changes: what the layer blocks, blocks in lessons, and allows.
        layer: its name.
        section: where they stand.
        categories: the catalogue.

    Raises:
        PolicyError: an unknown category, one that is named twice, a block of an allow list, or an allow of a
            locked category, naming both places.
    """
    made: dict[str, Standing] = {}
    kinds: tuple[tuple[str, list[str], State], ...] = (
        ("block", changes.block, "B"),
        ("timed", changes.timed, "T"),
        ("allow", changes.allow, "A"),
    )
    for kind, ids, state in kinds:
        for number, category_id in enumerate(ids):
            here = section.inner(kind, number)
            category = _known(category_id, categories, here)
            if category.kind == "allow" and state != "A":
                raise here.wrong(
                    f"{category_id!r} is an allow list and cannot be blocked", remedy="block names instead"
                )
            if above[category_id].state == "X":
                if state == "B":  # it is, and more firmly
                    continue
                raise _locked(category_id, above[category_id], here)
            if category_id in made and made[category_id].state != state:
                earlier = made[category_id]
                word = {"B": "blocked", "T": "timed"}[earlier.state]
                raise here.wrong(
                    f"{category_id!r} is also {word}, at {earlier.place}", remedy="keep one of them"
                )
            made[category_id] = Standing(state, layer, str(here.place()))
    return made


def name_rules(
    entries: Names | LockableNames,
    layer: str,
    section: Section,
    above: tuple[NameRule, ...] = (),
    *,
    timed: bool = False,
) -> tuple[NameRule, ...]:
    """Return the name rules of a layer.

    Args:
        entries: what the layer allows and blocks.
        layer: its name.
        section: where they stand.
        above: rules of the layers above, whose locks hold.
        timed: they belong to a line of the layer's schedule.

    Raises:
        PolicyError: not a domain name, a whole top-level domain allowed, the same name twice, or a name that
            an upper layer locked the other way, naming both places.
    """
    locked = NameRules(rule for rule in above if rule.locked)
    seen: dict[tuple[bytes, int], NameRule] = {}
    for allow, of_kind in ((True, entries.allow), (False, entries.block)):
        for number, entry in enumerate(of_kind):
            here = section.inner("allow" if allow else "block", number, "name")
            rule = NameRule(
                name=_wire(entry.name, here, allow=allow),
                scope=SCOPES[entry.scope],
                allow=allow,
                layer=layer,
                locked=isinstance(entry, LockableName) and entry.locked,
                timed=timed,
                reason=entry.reason,
                place=str(here.place()),
            )
            earlier = seen.setdefault((rule.name, rule.scope), rule)
            if earlier is not rule:
                raise here.wrong(f"{entry.name!r} is already at {earlier.place}", remedy="keep one of them")
            respect(locked, rule, here)
    return tuple(seen.values())


def respect(locked: NameRules, rule: NameRule, here: Section) -> None:
    """Hold a rule against the locked rules of the layers above.

    Raises:
        PolicyError: one of them says the other way about the same name or a parent of it; names both places.
    """
    lock = max(locked.find(rule.name), key=lambda one: one.closeness, default=None)
    if lock is not None and lock.allow is not rule.allow:
        what = f"{names.to_text(rule.name)} of service {rule.service!r}" if rule.service else "this name"
        word = "kept open" if lock.allow else "blocked"
        raise here.wrong(
            f"{what} is locked: it is {word} at {lock.place}", remedy="ask whoever keeps that file"
        )


def wire_names_of(entries: list[str], section: Section) -> frozenset[bytes]:
    """Return names written by a person as wire names.

    Raises:
        PolicyError: one of them is not a domain name.
    """
    return frozenset(_wire(text, section.inner(number)) for number, text in enumerate(entries))


def _wire(text: str, here: Section, *, allow: bool = False) -> bytes:
    try:
        wire = names.from_text(text)
    except BadName as error:
        raise here.wrong(f"{text!r} is not a domain name: {error.message}") from error
    labels = names.labels(wire)
    if any(b"*" in label for label in labels):
        raise here.wrong(
            f"{text!r} has a star", remedy="a name covers all below it; `scope: below` leaves the name out"
        )
    if len(labels) < (2 if allow else 1):
        raise here.wrong(f"{text!r} is too wide", remedy="name the hosts that are meant")
    return wire


def _known(category_id: str, categories: Categories, here: Section, *, key: bool = False) -> Category:
    if category_id not in categories.by_id:
        raise here.wrong(
            f"unknown category {category_id!r}", key=key, remedy=meant(category_id, categories.by_id)
        )
    return categories.by_id[category_id]
