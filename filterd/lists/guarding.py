"""What the gate guards on this box: gathered from people's lists, from policies, and from what the box needs.

Public lists are not read here; they are what is judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from filterd.lists.catalogue import Material
from filterd.lists.gate import Guarded
from filterd.lists.popular import Popular
from filterd.lists.reading import rules_of, unreadable
from filterd.lists.rule import BELOW, Rule
from filterd.lists.scan import Watched, scan
from filterd.rules.categories import Categories
from filterd.rules.index import Entry
from filterd.rules.listinfo import ListInfo
from filterd.rules.view import View

_MOST: Final = 50_000  # names of one list that are guarded; a list that people keep by hand has far fewer


@dataclass(slots=True)
class _Base:
    """Entries of people's lists, being gathered."""

    entries: dict[bytes, list[Entry]] = field(default_factory=dict)
    infos: list[ListInfo] = field(default_factory=list)

    def add(self, material: Material, bit: int, rules: Iterable[Rule]) -> None:
        source = material.source
        number = len(self.infos)
        self.infos.append(ListInfo(number, source.id, source.category, source.origin))
        for rule in rules:
            entry = Entry(number, bit, rule.scope, rule.allow, rule.important)
            self.entries.setdefault(rule.name, []).append(entry)


def guarded(
    materials: Sequence[Material],
    categories: Categories,
    views: Iterable[View],
    *,
    needed: Mapping[bytes, str],
    popular: Popular,
) -> Guarded:
    """Return what the gate guards.

    Args:
        materials: what would be compiled.
        categories: the catalogue of categories.
        views: the policies of the groups, now.
        needed: names that this box itself needs, with the reason.
        popular: popular sites.

    Raises:
        ListError: a list of people cannot be read.
    """
    views = tuple(views)
    base = _Base()
    stay_open = dict(needed)
    stay_shut: dict[bytes, str] = {}
    for material in materials:
        source = material.source
        if source.url is not None or source.origin == "public":
            continue
        category = categories.by_id[source.category]
        rules = _read(material)
        base.add(material, category.bit, rules)
        if category.illegal:  # nothing opens these, and their names are never displayed (R1)
            continue
        names = stay_open if category.kind == "allow" else stay_shut
        for rule in rules:
            if not rule.allow and rule.scope != BELOW:
                names.setdefault(rule.name, source.id)
    for view in views:
        for one in view.names.all:
            if one.allow and one.scope != BELOW:
                stay_open.setdefault(one.name, f"policy, {one.layer}")
    found = Guarded(stay_open, stay_shut, views, base.entries, base.infos, popular)
    _add_bought(materials, categories, base, found.watched)
    return found


def _read(material: Material) -> list[Rule]:
    try:
        return list(islice((item for _, item in rules_of(material) if isinstance(item, Rule)), _MOST))
    except OSError as error:
        raise unreadable(material, error) from error


def _add_bought(
    materials: Sequence[Material], categories: Categories, base: _Base, watched: frozenset[bytes]
) -> None:
    """Add what fetched lists of people (licensed, regional) say of the watched names."""
    for material in materials:
        source = material.source
        if source.url is None or source.origin == "public" or material.path is None:
            continue
        try:
            found = scan(material, Watched(watched)).watched
        except OSError as error:
            raise unreadable(material, error) from error
        rules = [rule for of_name in found.values() for rule in of_name]
        base.add(material, categories.by_id[source.category].bit, rules)
