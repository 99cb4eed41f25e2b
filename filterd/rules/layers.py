"""The files a policy is written in: the shape of each layer, checked before anything is merged.

Models only; what the layers mean together is policy.py's.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from filterd.rules.categories import State, Tier
from filterd.rules.clients import ClientRule, parse_client
from filterd.rules.fields import Identifier, NameText, Text
from filterd.rules.index import BELOW, EXACT, SUBTREE
from filterd.rules.timing import MAX_LINES, TimetableModel, When
from filterd.rules.yamlsource import Source, meant
from filterd.wire.synthesis import BlockAnswer

MAX_NAMES = 5000  # in one layer; more belongs into a list file
MAX_GROUPS = 1000
MAX_CLIENTS = 5000  # in one group
MAX_SERVICES = 1000  # blocked or allowed by one layer
MAX_ENGINES = 64

SCOPES = {"exact": EXACT, "subtree": SUBTREE, "below": BELOW}
_Address = Annotated[str, StringConstraints(max_length=45)]


def _word(value: Any) -> Any:
    """Tell who wrote true or false what a level looks like."""
    if isinstance(value, bool):
        raise ValueError("write a level: `on` or `off`, of YouTube `moderate`, `strict` or `off`")  # noqa: TRY004  pydantic reports ValueError
    return value


_Level = Annotated[str, BeforeValidator(_word), StringConstraints(max_length=16)]
_Levels = dict[Identifier, _Level]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Title(_Model):
    """What people call it, in the three languages."""

    kk: Text
    ru: Text
    en: Text


class NameEntry(_Model):
    """A name that a layer allows or blocks, and why: the reason is published (R8)."""

    name: NameText
    reason: Text
    scope: Literal["subtree", "exact", "below"] = "subtree"


class LockableName(NameEntry):
    """A name in the baseline or the region; a locked one cannot be changed below, either way."""

    locked: bool = False


class Names(_Model):
    """Names of a school or group."""

    allow: list[NameEntry] = Field(default_factory=list, max_length=MAX_NAMES)
    block: list[NameEntry] = Field(default_factory=list, max_length=MAX_NAMES)


class LockableNames(_Model):
    """Names of the baseline or the region."""

    allow: list[LockableName] = Field(default_factory=list, max_length=MAX_NAMES)
    block: list[LockableName] = Field(default_factory=list, max_length=MAX_NAMES)


class Changes(_Model):
    """Categories that a layer blocks, blocks in lessons, or allows on top of the layers above."""

    block: list[Identifier] = Field(default_factory=list, max_length=64)
    timed: list[Identifier] = Field(default_factory=list, max_length=64)
    allow: list[Identifier] = Field(default_factory=list, max_length=64)


class Services(_Model):
    """Services (ids of ``services.yaml``) that a layer blocks or allows."""

    block: list[Identifier] = Field(default_factory=list, max_length=MAX_SERVICES)
    allow: list[Identifier] = Field(default_factory=list, max_length=MAX_SERVICES)


class LockableServices(Services):
    """Services of the baseline or the region; what is locked cannot be changed below."""

    locked: list[Identifier] = Field(default_factory=list, max_length=MAX_SERVICES)


class TierSafeSearch(_Model):
    """Safe search of a tier: a level for each engine; no layer below goes under the level of a locked one."""

    engines: _Levels = Field(default_factory=dict)
    locked: list[Identifier] = Field(default_factory=list, max_length=MAX_ENGINES)


class Answer(_Model):
    """How a blocked question is answered."""

    mode: Literal["nxdomain", "nodata", "null", "page"] = "nxdomain"
    ttl: Annotated[int, Field(ge=0, le=60)] = 60
    page_v4: list[_Address] = Field(default_factory=list, max_length=4)
    page_v6: list[_Address] = Field(default_factory=list, max_length=4)

    @model_validator(mode="after")
    def _addresses(self) -> Self:
        self.value()
        if self.mode == "page" and not (self.page_v4 or self.page_v6):
            raise ValueError("mode page needs the block page's addresses in page_v4 or page_v6")
        return self

    def value(self) -> BlockAnswer:
        """Return it as the wire takes it."""
        return BlockAnswer(
            self.mode,
            self.ttl,
            tuple(ipaddress.IPv4Address(text).packed for text in self.page_v4),
            tuple(ipaddress.IPv6Address(text).packed for text in self.page_v6),
        )


WithoutLists = Literal["open", "closed"]
"""What becomes of lookups while the compiled lists cannot be read (R21): answered by names and safe search
alone, or refused unless a name rule opens them."""


class _Upper(_Model):
    """A layer above the schools: it can lock."""

    format: Literal[1]
    title: Title
    tiers: dict[Tier, dict[Identifier, State]] = Field(default_factory=dict)
    safe_search: dict[Tier, TierSafeSearch] = Field(default_factory=dict)
    services: LockableServices = Field(default_factory=LockableServices)
    names: LockableNames = Field(default_factory=LockableNames)
    timetable: TimetableModel | None = None
    answer: Answer | None = None
    without_lists: WithoutLists | None = None
    rebinding_allow: list[NameText] = Field(default_factory=list, max_length=MAX_NAMES)


class Baseline(_Upper):
    """The ministry's layer."""


class Region(_Upper):
    """A region's layer: it changes what the ministry did not lock, and locks more for its schools."""

    region: Identifier


class Line(When):
    """What a school or a group adds while the line's time lasts."""

    title: Text | None = None
    exam: bool = False
    categories: Changes = Field(default_factory=Changes)
    safe_search: _Levels = Field(default_factory=dict)
    services: Services = Field(default_factory=Services)
    names: Names = Field(default_factory=Names)


class Group(_Model):
    """Clients that share a policy."""

    id: Identifier
    title: Title | None = None
    tier: Tier
    bells: Identifier | None = None
    clients: list[Annotated[str, StringConstraints(max_length=64)]] = Field(
        default_factory=list, max_length=MAX_CLIENTS
    )
    categories: Changes = Field(default_factory=Changes)
    safe_search: _Levels = Field(default_factory=dict)
    services: Services = Field(default_factory=Services)
    names: Names = Field(default_factory=Names)
    schedule: list[Line] = Field(default_factory=list, max_length=MAX_LINES)


class School(_Model):
    """A school's layer, with its groups."""

    format: Literal[1]
    school: Identifier
    title: Title
    region: Identifier | None = None
    default_group: Identifier
    categories: Changes = Field(default_factory=Changes)
    safe_search: _Levels = Field(default_factory=dict)
    services: Services = Field(default_factory=Services)
    names: Names = Field(default_factory=Names)
    timetable: TimetableModel | None = None
    schedule: list[Line] = Field(default_factory=list, max_length=MAX_LINES)
    answer: Answer | None = None
    without_lists: WithoutLists | None = None
    rebinding_allow: list[NameText] = Field(default_factory=list, max_length=MAX_NAMES)
    groups: Annotated[list[Group], Field(min_length=1, max_length=MAX_GROUPS)]


def check_groups(school: School, source: Source) -> list[ClientRule]:
    """Return the client rules of all groups.

    Raises:
        PolicyError: a group id given twice, a default group that is not there, a client that is not one.
    """
    seen: dict[str, int] = {}
    rules = []
    for number, group in enumerate(school.groups):
        earlier = seen.setdefault(group.id, number)
        if earlier != number:
            place = source.place(("groups", earlier, "id"))
            raise source.wrong(
                f"group {group.id!r} is already at {place}", ("groups", number, "id"), remedy="rename one"
            )
        for position, text in enumerate(group.clients):
            rules.append(parse_client(text, group.id, source.place(("groups", number, "clients", position))))
    if school.default_group not in seen:
        raise source.wrong(
            f"no group {school.default_group!r}", ("default_group",), remedy=meant(school.default_group, seen)
        )
    return rules
