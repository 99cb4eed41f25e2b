"""The shape of a report for people: sections of paragraphs, tables and pictures, every figure with its kind.

All formats are written from this, so that they show the same figures. Holds values and shapes; the texts come
from `sections*.py`, the looks from `render/`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias

from filterd.i18n import Language

HIDDEN_SIGN: Final = "x"  # as the Bureau of National Statistics marks what it must not show
NONE_SIGN: Final = "—"
_SPREAD: Final = 8  # columns


class Kind(StrEnum):
    """What a value is, and so how each format writes it."""

    TEXT = "text"
    COUNT = "count"
    SHARE = "share"  # 1.0 is all
    HOURS = "hours"
    DAY = "day"
    MOMENT = "moment"
    HIDDEN = "hidden"
    NONE = "none"


_SIGNS: Final = {Kind.HIDDEN: HIDDEN_SIGN, Kind.NONE: NONE_SIGN}


@dataclass(frozen=True, slots=True)
class Value:
    """A figure or a text of a table."""

    kind: Kind
    raw: Any = None

    @property
    def numeric(self) -> bool:
        """Whether it is written to the right of its column."""
        return self.kind not in {Kind.TEXT, Kind.DAY, Kind.MOMENT}

    def show(self, language: Language) -> str:
        """Return it as people read it."""
        if self.kind in _SIGNS:
            return _SIGNS[self.kind]
        writers: dict[Kind, Callable[[Any], str]] = {
            Kind.TEXT: str,
            Kind.COUNT: language.number,
            Kind.HOURS: language.number,
            Kind.SHARE: language.percent,
            Kind.DAY: language.day,
            Kind.MOMENT: language.moment,
        }
        return writers[self.kind](self.raw)


NONE: Final = Value(Kind.NONE)
HIDDEN: Final = Value(Kind.HIDDEN)


def text(value: str) -> Value:
    """Return a text; an empty one is shown as missing."""
    return Value(Kind.TEXT, value) if value else NONE


def count(value: int | None) -> Value:
    """Return a count; ``None`` is one that is hidden."""
    return HIDDEN if value is None else Value(Kind.COUNT, value)


def share(part: float | None, whole: float | None) -> Value:
    """Return a part of a whole; hidden with its part, missing where there is no whole."""
    if part is None:
        return HIDDEN
    return Value(Kind.SHARE, round(part / whole, 4)) if whole else NONE


def hours(value: float | None) -> Value:
    """Return a length of time in hours."""
    return NONE if value is None else Value(Kind.HOURS, round(value, 1))


def day(value: date | None) -> Value:
    """Return a day."""
    return NONE if value is None else Value(Kind.DAY, value)


def moment(value: datetime | None) -> Value:
    """Return an instant, already in the zone of the reader, without it."""
    return NONE if value is None else Value(Kind.MOMENT, value.replace(tzinfo=None))


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph; ``note`` is small, ``warning`` stands in a frame."""

    text: str
    style: str = "plain"


@dataclass(frozen=True, slots=True)
class Table:
    """A table. Without column titles it is a list of facts: a name and its value."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    total: bool = False  # whether the last row is the sum
    notes: tuple[str, ...] = ()

    @property
    def has_hidden(self) -> bool:
        """Whether a figure in it is hidden."""
        return any(value.kind is Kind.HIDDEN for row in self.rows for value in row)

    def numeric(self, column: int) -> bool:
        """Whether a column holds figures."""
        return column > 0 and all(row[column].numeric for row in self.rows)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a picture; ``None`` is hidden."""

    label: str
    value: float | None
    shown: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture of bars, lying (``rows``) or standing (``columns``).

    ``top`` is the full length, if fixed; ``shares`` says that the values are shares, marked in percent.
    """

    title: str
    bars: tuple[Bar, ...]
    shape: str = "rows"
    top: float | None = None
    shares: bool = False


Block: TypeAlias = Paragraph | Table | Chart


@dataclass(frozen=True, slots=True)
class Section:
    """One of the fourteen parts, or a closing one (number 0)."""

    number: int
    title: str
    blocks: tuple[Block, ...]

    @property
    def spread(self) -> bool:
        """Whether a table in it needs the whole width of a page turned on its side."""
        return any(isinstance(one, Table) and len(one.columns) >= _SPREAD for one in self.blocks)


@dataclass(frozen=True, slots=True)
class Outline:
    """A whole report in one language.

    Attributes:
        title, lines: what stands at the top: the kind of report, then whom and when it is about.
        marks: what must be seen first: demonstration, provisional, not signed.
        facts: of the version: made, digest, signed.
        landscape: whether all pages are turned on their side.
    """

    language: Language
    title: str
    lines: tuple[str, ...]
    marks: tuple[str, ...]
    sections: tuple[Section, ...]
    facts: tuple[tuple[str, str], ...]
    landscape: bool = False

    @property
    def tables(self) -> list[tuple[Section, Table]]:
        """All tables with their sections."""
        return [(one, block) for one in self.sections for block in one.blocks if isinstance(block, Table)]


def facts(title: str, pairs: Sequence[tuple[str, Value]], notes: Sequence[str] = ()) -> Table:
    """Return a list of facts."""
    return Table(title, (), tuple((text(name), value) for name, value in pairs), notes=tuple(notes))
