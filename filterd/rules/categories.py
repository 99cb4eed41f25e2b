"""The catalogue of categories: stable ids and bits, names in three languages, severity, defaults per tier.

A bit, once given, never changes its meaning: compiled indexes, events and reports carry it. With it come the
catalogues that stand beside it: services and engines, the other words of a policy. Never says what is blocked
for whom; a policy does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from filterd.errors import PolicyError
from filterd.rules.fields import Identifier, Text
from filterd.rules.rewrites import Engines, load_engines
from filterd.rules.services import Services, load_services
from filterd.rules.yamlsource import Source, load, validate

LANGUAGES = ("kk", "ru", "en")

Tier = Literal["primary", "middle", "senior", "staff", "guest"]
State = Literal["X", "B", "T", "A"]
"""X locked block, B block, T blocked in lessons, A allow."""
TIERS: tuple[Tier, ...] = ("primary", "middle", "senior", "staff", "guest")
SERVICES, ENGINES = "services.yaml", "safe_search.yaml"
"""Files in the folder of ``categories.yaml`` that are read with it; one that is missing is empty."""


class Severity(StrEnum):
    """What a hit means for a child, the gravest first: of several categories the gravest is reported."""

    ILLEGAL = "illegal"
    WELFARE = "welfare"
    HARMFUL = "harmful"
    SECURITY = "security"
    CIRCUMVENTION = "circumvention"
    AGE = "age"
    DISTRACTION = "distraction"
    CONTESTED = "contested"
    NOISE = "noise"
    ALLOW = "allow"


_RANK = {severity: rank for rank, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Category:
    """One category.

    Attributes:
        id: stable id, through index, policy, event, metric and report.
        bit: its place in every mask, 0-63; never reused.
        kind: ``block``, or ``allow`` for the lists that outrank public block lists (R24).
        severity: what a hit means.
        names: by language, for people.
        about: by language, one plain sentence for pupils; may be empty.
        tiers: default state by tier.
        sources: the public lists that can fill it; empty means: no source is known, and that is shown (R2).
        note: where its entries come from, for the department.
        lifts_locks: of an allow list: whether it opens what public lists name in a locked category, too.
    """

    id: str
    bit: int
    kind: Literal["block", "allow"]
    severity: Severity
    names: Mapping[str, str]
    tiers: Mapping[str, State]
    about: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    note: str = ""
    lifts_locks: bool = True

    @property
    def illegal(self) -> bool:
        """Whether its domains are never displayed and nothing lifts its block (R1)."""
        return self.severity is Severity.ILLEGAL

    def name(self, language: str) -> str:
        """Return the name for people; English when the language is unknown."""
        return self.names.get(language, self.names["en"])


class Categories:
    """All categories, by id and by bit.

    Attributes:
        all: in the order of the file.
        by_id, by_bit: the same by key.
        allowing: mask of the allow_* categories.
        illegal: mask of the categories of severity ``illegal``.
        lifting: mask of the allow_* categories that open what public lists name in a locked category.
        order: bits, the gravest severity first, then the lowest bit.
        sha256: of the text of all files, empty when not from files.
        source: the file, None when not from one.
        services: sets of domains that policies know by one name.
        engines: search engines that have a safe search.
    """

    __slots__ = (
        "all",
        "allowing",
        "by_bit",
        "by_id",
        "engines",
        "illegal",
        "lifting",
        "order",
        "services",
        "sha256",
        "source",
    )

    def __init__(
        self,
        categories: Iterable[Category],
        *,
        sha256: str = "",
        source: Source | None = None,
        services: Services | None = None,
        engines: Engines | None = None,
    ) -> None:
        self.all = tuple(categories)
        self.by_id: Mapping[str, Category] = MappingProxyType({one.id: one for one in self.all})
        self.by_bit: Mapping[int, Category] = MappingProxyType({one.bit: one for one in self.all})
        self.allowing = self.mask(one.id for one in self.all if one.kind == "allow")
        self.lifting = self.mask(one.id for one in self.all if one.kind == "allow" and one.lifts_locks)
        self.illegal = self.mask(one.id for one in self.all if one.illegal)
        self.order = tuple(
            one.bit for one in sorted(self.all, key=lambda one: (_RANK[one.severity], one.bit))
        )
        self.sha256 = sha256
        self.source = source
        self.services = services or Services()
        self.engines = engines or Engines()

    def mask(self, ids: Iterable[str]) -> int:
        """Return the mask of some categories.

        Raises:
            KeyError: an unknown id.
        """
        mask = 0
        for category_id in ids:
            mask |= 1 << self.by_id[category_id].bit
        return mask

    def ids(self, mask: int) -> tuple[str, ...]:
        """Return the ids in a mask, lowest bit first; bits without a category are left out."""
        return tuple(self.by_bit[bit].id for bit in sorted(self.by_bit) if mask >> bit & 1)

    def place(self, category_id: str, tier: str) -> str:
        """Return where a tier's default is written, ``file:line:column``; for errors of lower layers."""
        if self.source is None:
            return "the catalogue of categories"
        return str(self.source.place(("categories", category_id, "tiers", tier)))

    def gravest(self, mask: int) -> Category | None:
        """Return the category of a mask that is reported: highest severity, then lowest bit."""
        for bit in self.order:
            if mask >> bit & 1:
                return self.by_bit[bit]
        return None


class _Names(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    kk: Text
    ru: Text
    en: Text


class _Tiers(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    primary: State
    middle: State
    senior: State
    staff: State
    guest: State


class _Category(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    bit: Annotated[int, Field(ge=0, le=63)]
    kind: Literal["block", "allow"] = "block"
    severity: Literal[
        "illegal",
        "welfare",
        "harmful",
        "security",
        "circumvention",
        "age",
        "distraction",
        "contested",
        "noise",
        "allow",
    ]
    names: _Names
    about: _Names | None = None
    tiers: _Tiers
    sources: list[Text]
    note: Text | None = None
    lifts_locks: bool = True


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    format: Literal[1]
    categories: Annotated[dict[Identifier, _Category], Field(min_length=1, max_length=64)]


def load_categories(path: Path, *, shown: str = "") -> Categories:
    """Read ``categories.yaml``, and ``services.yaml`` and ``safe_search.yaml`` beside it.

    Raises:
        PolicyError: with file, line and column: not as the format says, a bit given twice, an illegal
            category that is not locked for everyone, an allow category that is not allowed; and as
            :func:`load_services` and :func:`load_engines`.
    """
    source = load(path, error=PolicyError, shown=shown)
    file = validate(_File, source)
    places: dict[int, str] = {}
    found = []
    for category_id, one in file.categories.items():
        at = ("categories", category_id)
        if one.bit in places:
            raise source.wrong(
                f"bit {one.bit} already belongs to {places[one.bit]!r}",
                (*at, "bit"),
                remedy="take a bit that was never used",
            )
        places[one.bit] = category_id
        category = Category(
            id=category_id,
            bit=one.bit,
            kind=one.kind,
            severity=Severity(one.severity),
            names=one.names.model_dump(),
            tiers=one.tiers.model_dump(),
            about=one.about.model_dump() if one.about else {},
            sources=tuple(one.sources),
            note=one.note or "",
            lifts_locks=one.lifts_locks,
        )
        _check_states(category, source)
        found.append(category)
    blocking = [one.id for one in found if one.kind == "block"]
    services_file, engines_file = path.with_name(SERVICES), path.with_name(ENGINES)
    services = load_services(services_file, blocking) if services_file.exists() else Services()
    engines = load_engines(engines_file) if engines_file.exists() else Engines()
    return Categories(
        found,
        sha256=_sha256(source.text, services.text, engines.text),
        source=source,
        services=services,
        engines=engines,
    )


def _sha256(*texts: str) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()


def _check_states(category: Category, source: Source) -> None:
    at = ("categories", category.id, "tiers")
    if (category.kind == "allow") != (category.severity is Severity.ALLOW):
        raise source.wrong(
            f"{category.id!r}: kind and severity must both be `allow` or neither",
            ("categories", category.id, "severity"),
        )
    for tier, state in category.tiers.items():
        if category.illegal and state != "X":
            raise source.wrong(
                f"{category.id!r} is illegal content and must be X for every tier", (*at, tier), remedy="X"
            )
        if category.kind == "allow" and state != "A":
            raise source.wrong(f"{category.id!r} is an allow list and must be A", (*at, tier), remedy="A")
