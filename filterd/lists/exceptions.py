"""Reviewed exceptions: sites that people freed or blocked, each with reason, author and review date.

The file (``blocklists/exceptions.yaml``, or the one that filterd.yaml names)::

    format: 1
    exceptions:
      - name: chem.example.org          # and everything below it; `scope: exact` for the name alone
        action: allow
        reason: Chemistry faculty, listed as drugs
        author: A. Serikova, deputy head
        since: 2026-11-23
        review: 2027-05-23              # to be looked at again by then; it stands meanwhile, and is reported
        until: 2027-06-30               # optional: it ends by itself after this day
      - name: new-casino.example
        action: block
        category: gambling              # which category it counts as
        ...

A block is an entry of a list that people keep. An allow stands in the category ``allow_reviewed``, which
outranks public lists but opens nothing that is locked (``rules.decide``): for that, the layer that holds the
lock must allow the name. Never reads a clock: today is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from filterd.errors import BadName, ListError
from filterd.lists.catalogue import CategoryId, ListSource, Material
from filterd.lists.guard import guard
from filterd.rules.categories import Categories
from filterd.rules.yamlsource import Source, load, meant, validate
from filterd.wire import names

ALLOWED: Final = "allow_reviewed"  # the category of what people freed
LIST_PREFIX: Final = "reviewed-"
MAX_EXCEPTIONS: Final = 5000

Text = Annotated[str, StringConstraints(min_length=3, max_length=400, strip_whitespace=True)]


def _day(value: object) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is not a date; write YYYY-MM-DD") from None


Day = Annotated[date, BeforeValidator(_day)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReviewedName(_Model):
    """One exception; the module docstring says what each field means."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=1100)]
    action: Literal["allow", "block"]
    scope: Literal["subtree", "exact"] = "subtree"
    category: CategoryId | None = None
    reason: Text
    author: Text
    since: Day
    review: Day
    until: Day | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.action == "block") != (self.category is not None):
            raise ValueError("a block names its category, an allow has none")
        if self.review < self.since:
            raise ValueError("the review lies before the beginning")
        if self.until is not None and self.until < self.since:
            raise ValueError("the end lies before the beginning")
        return self

    @property
    def wire(self) -> bytes:
        """The name as a wire name."""
        return names.from_text(self.name)

    def stands(self, today: date) -> bool:
        """Return whether it is in force: from its first day to its last."""
        return self.since <= today and (self.until is None or today <= self.until)

    def overdue(self, today: date) -> bool:
        """Return whether somebody should have looked at it again."""
        return self.stands(today) and self.review < today


class _File(_Model):
    format: Literal[1]
    exceptions: list[ReviewedName] = Field(default_factory=list, max_length=MAX_EXCEPTIONS)


@dataclass(frozen=True, slots=True)
class Exceptions:
    """All exceptions of a box, in the order of the file."""

    all: tuple[ReviewedName, ...] = ()

    def overdue(self, today: date) -> tuple[ReviewedName, ...]:
        """Return those whose review is due."""
        return tuple(one for one in self.all if one.overdue(today))

    def ended(self, today: date) -> tuple[ReviewedName, ...]:
        """Return those that ended by themselves."""
        return tuple(one for one in self.all if one.until is not None and one.until < today)

    def materials(self, today: date) -> list[Material]:
        """Return a list to compile for each category in which an exception stands."""
        standing = [one for one in self.all if one.stands(today)]
        categories = sorted({one.category or ALLOWED for one in standing})
        return [_material(category, standing) for category in categories]


def load_exceptions(path: Path, categories: Categories) -> Exceptions:
    """Read a file of exceptions.

    Raises:
        ListError: with file, line and column: not as the format says, not a domain name, a public suffix,
            the same name twice, or a category that is unknown or cannot be blocked.
    """
    source = load(path, error=ListError)
    found = validate(_File, source).exceptions
    seen: dict[bytes, int] = {}
    refuse = guard()
    for number, one in enumerate(found):
        at = ("exceptions", number)
        try:
            wire = one.wire
        except BadName as error:
            raise source.wrong(
                f"{one.name!r} is not a domain name: {error.message}", (*at, "name")
            ) from error
        if refuse(wire) is not None:
            raise source.wrong(
                f"{one.name!r} belongs to many owners", (*at, "name"), remedy="name the site that is meant"
            )
        if wire in seen:
            place = source.place(("exceptions", seen[wire], "name"))
            raise source.wrong(
                f"{one.name!r} is already at {place}", (*at, "name"), remedy="keep one of them"
            )
        seen[wire] = number
        _check_category(one, categories, source, number)
    return Exceptions(tuple(found))


def _check_category(one: ReviewedName, categories: Categories, source: Source, number: int) -> None:
    if one.category is None:
        return
    blocking = [category.id for category in categories.all if category.kind == "block"]
    if one.category not in blocking:
        raise source.wrong(
            f"{one.category!r} is not a category that is blocked",
            ("exceptions", number, "category"),
            remedy=meant(one.category, blocking),
        )


def _material(category: str, standing: Iterable[ReviewedName]) -> Material:
    mine = [one for one in standing if (one.category or ALLOWED) == category]
    lines = [f"{'=' if one.scope == 'exact' else ''}{names.to_text(one.wire)}\n" for one in mine]
    list_id = LIST_PREFIX + category.replace("_", "-")
    entry = ListSource(
        id=list_id,
        title=f"Reviewed by people: {'freed' if category == ALLOWED else category}",
        path="exceptions.yaml",
        format="domains",
        category=category,
        origin="local",
        licence="as the file of exceptions says",
    )
    return Material(entry, None, text="".join(sorted(lines)).encode())
