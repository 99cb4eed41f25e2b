"""A school's policy: the layers merged into one view for each group.

Built whole or not at all, and never changed afterwards: a reload builds another beside it and swaps. Never
reads a clock: the instant is an argument.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

from filterd.errors import PolicyError
from filterd.rules.categories import Categories
from filterd.rules.clients import UNKNOWN, Clients, Device
from filterd.rules.layers import Baseline, Group, Region, School, Title, check_groups
from filterd.rules.overrides import Override
from filterd.rules.plan import Plan
from filterd.rules.planning import Lower, Upper
from filterd.rules.reading import LayerFiles, Layers, read_layers
from filterd.rules.timing import Texts, united
from filterd.rules.view import BASELINE, REGION, View
from filterd.rules.yamlsource import Section, Source, parse, validate

# A box that has only a baseline: one group, and who is not known is treated as a guest.
_NO_SCHOOL = School(
    format=1,
    school="unnamed",
    title=Title(kk="Атаусыз мектеп", ru="Школа без названия", en="Unnamed school"),
    default_group="default",
    groups=[Group(id="default", tier="guest")],
)


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """A group, for people: id, tier, name by language (may be empty)."""

    id: str
    tier: str
    title: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """The merged layers of one school.

    Attributes:
        school: id of the school.
        region: id of the region, None when the school names none.
        title: name of the school by language.
        groups: every group by id.
        clients: which group a client belongs to.
        categories: the catalogue it was made with.
        version: 12 hex digits of the SHA-256 of all sources.
        generation: number given by whoever loaded it; grows with every load.
        zone: of the school.
        plans: what makes the views of each group, by id.
    """

    school: str
    region: str | None
    title: Mapping[str, str]
    groups: Mapping[str, GroupInfo]
    clients: Clients
    categories: Categories
    version: str
    generation: int
    zone: ZoneInfo
    plans: Mapping[str, Plan]

    def view(self, group: str, at: float | None = None) -> View:
        """Return what holds for a group: the same object until something changes.

        Args:
            group: id of the group.
            at: the instant, in UTC seconds. Without one, what holds in lessons and beside all schedules.

        Raises:
            KeyError: no such group.
        """
        return self.plans[group].view(at)

    def nobody_there(self, at: float) -> bool:
        """Return whether the timetables of all groups say that nobody is at school; False without any."""
        schedules = {id(plan.schedule.timetable): plan.schedule for plan in self.plans.values()}
        told = [one for one in schedules.values() if one.timetable is not None]
        return bool(told) and all(
            one.timetable.is_empty(*one.wall(at)[:2]) for one in told if one.timetable is not None
        )

    def under(self, overrides: Iterable[Override]) -> Policy:
        """Return the policy under temporary overrides; groups that none concerns keep their views."""
        generation = self.generation + 1
        given = sorted(overrides, key=lambda one: one.id)
        plans = {group: plan.under(given, generation) for group, plan in self.plans.items()}
        return replace(self, generation=generation, plans=MappingProxyType(plans))

    def view_of(self, address: bytes, device: Device = UNKNOWN, at: float | None = None) -> View:
        """Return what holds for a client; arguments as of :meth:`Clients.match` and :meth:`view`."""
        return self.view(self.clients.group_of(address, device), at)


def load_policy(
    baseline: Path,
    school: Path | None,
    categories: Categories,
    *,
    region: Path | None = None,
    generation: int = 1,
) -> Policy:
    """Read and merge the layers.

    Args:
        baseline: the ministry's file.
        school: the school's file; None makes one group of guests for every client.
        categories: the catalogue.
        region: the region's file, if there is one.
        generation: number of this load.

    Raises:
        PolicyError: a file is wrong, or loosens what an upper layer locked; with file, line and column.
    """
    layers = read_layers(LayerFiles(baseline, school, region))
    return merge_layers(layers, categories, generation=generation)


def merge_layers(layers: Layers, categories: Categories, *, generation: int = 1) -> Policy:
    """Merge layers that were read; errors as of :func:`load_policy`."""
    return merge_policy(
        layers.baseline,
        layers.school,
        categories,
        region=layers.region,
        texts=layers.calendars,
        generation=generation,
    )


def merge_policy(
    top: Source,
    own: Source | None,
    categories: Categories,
    *,
    region: Source | None = None,
    texts: Texts | None = None,
    generation: int = 1,
) -> Policy:
    """Merge parsed layers; arguments and errors as of :func:`load_policy`."""
    upper = Upper(categories)
    upper.add(validate(Baseline, top), BASELINE, Section(top, ()))
    regional = None
    if region is not None:
        regional = validate(Region, region)
        upper.add(regional, REGION, Section(region, ()))
    if own is None:
        school, own = _NO_SCHOOL, parse("", file="", error=PolicyError)
    else:
        school = validate(School, own)
    if region is not None and regional is not None:
        _check_region(school, own, regional.region, region.file)
    clients = Clients(check_groups(school, own), default=school.default_group)
    section = Section(own, ())
    times = united([*upper.timetables, (school.timetable, section.inner("timetable"))], texts or {})
    lower = Lower(upper, school, section, times, generation=generation)
    return Policy(
        school=school.school,
        region=school.region if regional is None else regional.region,
        title=school.title.model_dump(),
        groups=MappingProxyType({group.id: _info(group) for group in school.groups}),
        clients=clients,
        categories=categories,
        version=_version(
            categories.sha256, top.text, region.text if region else "", own.text, *_in_order(texts or {})
        ),
        generation=generation,
        zone=times.zone,
        plans=MappingProxyType(
            {group.id: lower.plan(group, number) for number, group in enumerate(school.groups)}
        ),
    )


def _check_region(school: School, own: Source, region: str, file: str) -> None:
    if school.region not in (None, region):
        raise own.wrong(
            f"region {school.region!r} is not that of {file}, which is {region!r}",
            ("region",),
            remedy=f"write {region}, or name the file of {school.region}",
        )


def _info(group: Group) -> GroupInfo:
    return GroupInfo(group.id, group.tier, group.title.model_dump() if group.title else {})


def _in_order(texts: Texts) -> Iterator[str]:
    for key in sorted(texts):
        yield from (*key, texts[key])


def _version(*texts: str) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()[:12]
