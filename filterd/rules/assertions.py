"""Tests of a policy, kept beside it: who asks for what and when, and what should come of it.

A test file says what people agreed on; whoever changes a policy sees what the change breaks. Pure.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from filterd.errors import BadName
from filterd.rules.decide import decide
from filterd.rules.explain import summary
from filterd.rules.fields import Identifier, NameText, Text
from filterd.rules.index import Index
from filterd.rules.policy import Policy
from filterd.rules.timetable import DAYS
from filterd.rules.timing import Day, instant
from filterd.rules.verdict import Action, Verdict
from filterd.rules.yamlsource import Section, Source, meant, validate
from filterd.wire import names

MAX_TESTS = 5000
_A = 1
_WEEKDAY = re.compile(r"([a-z]{3})[a-z]* ([0-9:]{4,5})")
_AT = r"^((mon|tue|wed|thu|fri|sat|sun)[a-z]*|[0-9]{4}-[0-9]{2}-[0-9]{2}) [0-9]{2}:[0-9]{2}$"


class _Time(NamedTuple):
    """A day of the week, or a date, and a time of day."""

    weekday: int | None
    text: str


def _time(value: Any) -> _Time:
    if isinstance(value, _Time):
        return value
    if isinstance(value, str):
        found = _WEEKDAY.fullmatch(value.strip().lower())
        if found is not None and found[1] in DAYS:
            return _Time(DAYS.index(found[1]), found[2])
        if re.fullmatch(_AT, value):
            return _Time(None, value)
    raise ValueError(f"{value!r} is no time; write mon 10:00 or 2026-09-14 10:00")


Time = Annotated[
    _Time,
    PlainValidator(_time),
    WithJsonSchema({"type": "string", "pattern": _AT, "examples": ["mon 10:00"]}),
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Assertion(_Model):
    """One test: a group or a client, names, maybe a time, and what is expected."""

    group: Identifier | None = None
    client: Annotated[str, Field(max_length=45)] | None = None
    names: Annotated[list[NameText], Field(min_length=1, max_length=100)]
    at: Time | None = None
    expect: Literal["allow", "block", "rewrite"]
    category: Identifier | None = None
    why: Text | None = None

    @model_validator(mode="after")
    def _one_who(self) -> Self:
        if (self.group is None) == (self.client is None):
            raise ValueError("write either `group` or `client`")
        return self


class Assertions(_Model):
    """A file of tests."""

    format: Literal[1]
    week: Day | None = None
    tests: Annotated[list[Assertion], Field(min_length=1, max_length=MAX_TESTS)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a test for one name.

    Attributes:
        test: the test in one line.
        place: where it is written.
        passed: whether it came as expected.
        got: what came, in one line.
        why: why it should be so; may be empty.
    """

    test: str
    place: str
    passed: bool
    got: str
    why: str


def run(source: Source, policy: Policy, index: Index) -> Iterator[Outcome]:
    """Run the tests of a file.

    Raises:
        PolicyError: the file is wrong, or names a group, a name or a day that is none; with its place.
    """
    file = validate(Assertions, source)
    for number, test in enumerate(file.tests):
        here = Section(source, ("tests", number))
        group = _group(test, policy, here)
        at = None if test.at is None else _at(test.at, file.week, policy, here)
        view = policy.view(group, at)
        for position, text in enumerate(test.names):
            verdict = decide(_name(text, here.inner("names", position)), _A, view, index)
            yield Outcome(
                test=_told(test, group, text),
                place=str(here.place("names", position)),
                passed=_fits(test, verdict),
                got=summary(verdict),
                why=test.why or "",
            )


def _fits(test: Assertion, verdict: Verdict) -> bool:
    return verdict.action is Action(test.expect) and test.category in (None, verdict.category)


def _told(test: Assertion, group: str, name: str) -> str:
    who = f"{group} ({test.client})" if test.client else group
    at = ""
    if test.at is not None:
        day = "" if test.at.weekday is None else f"{DAYS[test.at.weekday]} "
        at = f", {day}{test.at.text}"
    category = f" as {test.category}" if test.category else ""
    return f"{who}, {name}{at} -> {test.expect}{category}"


def _group(test: Assertion, policy: Policy, here: Section) -> str:
    if test.client is not None:
        try:
            address = ipaddress.ip_address(test.client).packed
        except ValueError as error:
            raise here.wrong(f"{test.client!r} is not an address", "client") from error
        return policy.clients.group_of(address)
    if test.group is None or test.group not in policy.groups:
        raise here.wrong(f"no group {test.group!r}", "group", remedy=meant(str(test.group), policy.groups))
    return test.group


def _at(time: _Time, week: date | None, policy: Policy, here: Section) -> float:
    text = time.text
    if time.weekday is not None:
        if week is None:
            raise here.wrong(
                f"which {DAYS[time.weekday]}?",
                "at",
                remedy="write `week: 2026-09-14` at the head of the file",
            )
        text = f"{week - timedelta(days=week.weekday() - time.weekday)} {time.text.zfill(5)}"
    try:
        return instant(text, policy.zone)
    except ValueError as error:
        raise here.wrong(str(error), "at") from error


def _name(text: str, here: Section) -> bytes:
    try:
        return names.from_text(text)
    except BadName as error:
        raise here.wrong(f"{text!r} is not a domain name: {error.message}") from error
