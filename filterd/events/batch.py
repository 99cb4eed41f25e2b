"""What travels from a box to the monitoring endpoint: the shape of a batch, checked at both ends.

Values only: no I/O, no clock. Nothing here can name a pupil: a device is a pseudonym, allowed traffic is
a count, times of events are 5-minute buckets (school.md, "what the psychologist sees").
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

BUCKET_SECONDS = 300
HOUR_SECONDS = 3600
MAX_BATCHES = 64
MAX_EVENTS = 5000
MAX_USAGE = 20000
MAX_ALIVE = 1000

_IDENTIFIER = r"^[a-z0-9][a-z0-9_.:-]{0,63}$"
Identifier = Annotated[str, StringConstraints(pattern=_IDENTIFIER)]
Category = Annotated[str, StringConstraints(pattern=r"^([a-z0-9][a-z0-9_.:-]{0,63})?$")]  # "" when none
Name = Annotated[str, StringConstraints(min_length=1, max_length=1100)]  # 255 bytes, all written as \\DDD
Epoch = Annotated[int, Field(ge=0, le=2**40)]
Count = Annotated[int, Field(ge=1, le=2**40)]
Outcome = Literal["allowed", "blocked", "rewritten", "canary", "failed", "refused", "stale"]


class Model(BaseModel):
    """Base: unknown fields are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Hint(StrEnum):
    """Why a lookup may not have been a person's choice (school.md, signal against noise)."""

    AD_PARENT = "ad_parent"  # an advertising name was asked for by the same device just before
    AUTOMATIC = "automatic"  # asked for at even intervals: a program in the background
    OUT_OF_HOURS = "out_of_hours"  # while nobody is at school
    PAGE_BURST = "page_burst"  # among many other names of the same device within 10 s: part of a page


class Event(Model):
    """A blocked lookup, collapsed: equal lookups of one device in one bucket are one event with a count."""

    bucket: Epoch  # UTC, seconds, a multiple of BUCKET_SECONDS
    group: Identifier
    tier: Identifier
    pseudonym: Annotated[str, StringConstraints(pattern=r"^[a-z2-7]{8,32}$")]
    domain: Name  # registrable domain
    name: Name
    category: Category  # "" for a name that a policy blocks without naming a category
    list: Annotated[str, StringConstraints(max_length=64)]
    rule: Annotated[str, StringConstraints(max_length=1100)]
    layer: Annotated[str, StringConstraints(max_length=64)]
    verdict: Literal["block", "rewrite"]
    reason: Identifier
    hints: Annotated[str, StringConstraints(pattern=r"^([a-z_]+(,[a-z_]+)*)?$", max_length=64)] = (
        ""  # Hint, sorted
    )
    count: Count


class Usage(Model):
    """How many lookups had an outcome in one hour; never a name or a device."""

    hour: Epoch  # UTC, seconds, a multiple of HOUR_SECONDS
    group: Identifier
    tier: Identifier
    category: Category
    outcome: Outcome
    queries: Count


class Alive(Model):
    """When a process of the box was filtering: one bit for each 5-minute step of an hour, lowest first."""

    hour: Epoch  # UTC, seconds, a multiple of HOUR_SECONDS
    steps: Annotated[int, Field(ge=1, lt=1 << 12)]


class SelfTest(Model):
    """The box's latest self-test (R19) and how many learning sites answered (3.1)."""

    at: Epoch
    tested: Annotated[int, Field(ge=0, le=1000)]
    failed: Annotated[list[Identifier], Field(max_length=256)]  # categories
    no_source: Annotated[list[Identifier], Field(max_length=256)]
    learning_tested: Annotated[int, Field(ge=0, le=10_000)]
    learning_answered: Annotated[int, Field(ge=0, le=10_000)]
    error: Annotated[str, StringConstraints(max_length=200)] = ""


class Health(Model):
    """The box's state at a moment: gauges and counters since the start of the process; latest wins."""

    at: Epoch
    started: Epoch
    version: Annotated[str, StringConstraints(max_length=64)]
    policy_version: Annotated[str, StringConstraints(max_length=64)]
    index_version: Annotated[str, StringConstraints(max_length=64)]
    values: dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")], float] = Field(
        max_length=256
    )
    selftest: SelfTest | None = None


class Batch(Model):
    """One commit of the outbox. ``(box, stream, sequence)`` identifies it for ever."""

    sequence: Annotated[int, Field(ge=1, le=2**53)]
    events: Annotated[list[Event], Field(max_length=MAX_EVENTS)]
    usage: Annotated[list[Usage], Field(max_length=MAX_USAGE)]
    # A default value would be copied for every batch.
    alive: Annotated[list[Alive], Field(max_length=MAX_ALIVE, default_factory=list)]


class Delivery(Model):
    """The body of ``POST /v1/batches``: batches of one outbox stream in ascending sequence."""

    box: Identifier
    school: Identifier
    stream: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]  # identity of one outbox file
    batches: Annotated[list[Batch], Field(max_length=MAX_BATCHES)]
    health: Health | None = None


class Receipt(Model):
    """The endpoint's answer: the sequences that are stored (now or before), fsynced."""

    acknowledged: list[int]
