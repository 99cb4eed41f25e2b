"""Safe search and services through the layers: what each adds, with every lock held.

As with categories and names, a lower layer may tighten anything, and loosening what an upper layer locked is
an error that names both places (R9).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from filterd.rules.categories import TIERS, Tier
from filterd.rules.layers import LockableServices, Services, TierSafeSearch
from filterd.rules.merge import respect
from filterd.rules.rewrites import Engine, Engines, Rewrite
from filterd.rules.services import Services as ServiceCatalogue
from filterd.rules.verdict import Action, Reason, Verdict
from filterd.rules.view import Level, NameRule, NameRules
from filterd.rules.yamlsource import Section, meant

Levels = Mapping[str, Level]  # by engine id; an engine that is not there is off


def tier_levels(
    above: Mapping[Tier, Levels],
    tiers: Mapping[Tier, TierSafeSearch],
    layer: str,
    section: Section,
    engines: Engines,
) -> Mapping[Tier, Levels]:
    """Return the levels of every tier after the ``safe_search`` of the baseline or the region.

    Raises:
        PolicyError: as :func:`changed_levels`, or a lock on an engine that has no level here.
    """
    merged = {tier: dict(above.get(tier, {})) for tier in TIERS}
    for tier, chosen in tiers.items():
        here = section.inner(tier)
        levels = merged[tier]
        levels |= changed_levels(levels, chosen.engines, layer, here.inner("engines"), engines)
        for number, engine_id in enumerate(chosen.locked):
            place = here.inner("locked", number)
            _engine(engine_id, engines, place)
            if engine_id not in levels:
                raise place.wrong(f"{engine_id!r} has no level to lock", remedy="give it one in `engines`")
            level = levels[engine_id]
            levels[engine_id] = level._replace(
                floor=level.level, floor_layer=layer, floor_place=str(place.place())
            )
    return merged


def changed_levels(
    above: Levels, chosen: Mapping[str, str], layer: str, section: Section, engines: Engines
) -> Levels:
    """Return what a layer's ``safe_search`` changes.

    Args:
        above: the levels of all layers above.
        chosen: level by engine.
        layer: its name.
        section: where they stand.
        engines: the catalogue.

    Raises:
        PolicyError: an unknown engine, a level it does not have, or one that is milder than what an upper
            layer locked, naming both places.
    """
    made: dict[str, Level] = {}
    for engine_id, level in chosen.items():
        here = section.inner(engine_id)
        engine = _engine(engine_id, engines, here, key=True)
        strictness = _strictness(engine, level, here)
        before = above.get(engine_id)
        if before is not None and strictness < engine.strictness(before.floor):
            raise here.wrong(
                f"safe search of {engine_id!r} is locked at {before.floor_place}: {level!r} is milder than"
                f" {before.floor!r}",
                remedy=f"write {before.floor} or something stricter, or ask whoever keeps that file",
            )
        base = before or Level(level, layer, "")
        made[engine_id] = base._replace(level=level, layer=layer, place=str(here.place()))
    return made


def _engine(engine_id: str, engines: Engines, here: Section, *, key: bool = False) -> Engine:
    if engine_id not in engines.by_id:
        raise here.wrong(
            f"unknown search engine {engine_id!r}", key=key, remedy=meant(engine_id, engines.by_id)
        )
    return engines.by_id[engine_id]


def _strictness(engine: Engine, level: str, here: Section) -> int:
    try:
        return engine.strictness(level)
    except KeyError:
        known = ("off", *engine.levels)
        raise here.wrong(f"{engine.id!r} has no level {level!r}", remedy=meant(level, known)) from None


def rewrites_of(levels: Levels, engines: Engines) -> Mapping[bytes, Rewrite]:
    """Return what each host of the engines gets, by lower-case wire name."""
    made: dict[bytes, Rewrite] = {}
    for engine_id, chosen in levels.items():
        engine = engines.by_id[engine_id]
        target = engine.levels.get(chosen.level)
        if target is None:
            continue
        rule = f"safe search {engine_id}: {chosen.level} ({target.text})"
        verdict = Verdict(Action.REWRITE, Reason.SAFE_SEARCH, None, None, rule, chosen.layer)
        rewrite = Rewrite(engine_id, chosen.level, target, verdict)
        made.update(dict.fromkeys(engine.hosts, rewrite))
    return MappingProxyType(made)


def service_rules(
    chosen: Services,
    layer: str,
    section: Section,
    above: Iterable[NameRule],
    services: ServiceCatalogue,
    *,
    timed: bool = False,
) -> tuple[NameRule, ...]:
    """Return the names of the services that a layer blocks or allows, as rules of that layer.

    Args:
        chosen: what the layer blocks, allows and locks.
        layer: its name.
        section: where they stand.
        above: rules of the layers above, whose locks hold.
        services: the catalogue.
        timed: they belong to a line of the layer's schedule.

    Raises:
        PolicyError: an unknown service, one that is both blocked and allowed, a lock on one that is neither,
            or one that an upper layer locked the other way, naming both places.
    """
    locks = NameRules(rule for rule in above if rule.locked)
    locked = _locked(chosen, section)
    seen: dict[str, tuple[str, Section]] = {}
    made: list[NameRule] = []
    for kind, ids in (("block", chosen.block), ("allow", chosen.allow)):
        for number, service_id in enumerate(ids):
            here = section.inner(kind, number)
            service = services.by_id.get(service_id)
            if service is None:
                raise here.wrong(f"unknown service {service_id!r}", remedy=meant(service_id, services.by_id))
            if service_id in seen:
                raise here.wrong(
                    f"service {service_id!r} is already at {seen[service_id][1].place()}",
                    remedy="keep one of them",
                )
            seen[service_id] = kind, here
            for name, scope in service.names:
                rule = NameRule(
                    name=name,
                    scope=scope,
                    allow=kind == "allow",
                    layer=layer,
                    locked=service_id in locked,
                    timed=timed,
                    reason=service.title,
                    place=str(here.place()),
                    service=service_id,
                    category=service.category,
                )
                respect(locks, rule, here)
                made.append(rule)
    return tuple(made)


def _locked(chosen: Services, section: Section) -> frozenset[str]:
    if not isinstance(chosen, LockableServices):
        return frozenset()
    for number, service_id in enumerate(chosen.locked):
        if service_id not in chosen.block and service_id not in chosen.allow:
            raise section.wrong(
                f"{service_id!r} is neither blocked nor allowed here", "locked", number,
                remedy="name it in `block` or `allow` as well",
            )  # fmt: skip
    return frozenset(chosen.locked)
