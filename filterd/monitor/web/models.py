"""What the API answers, as models: the OpenAPI document is made of them, and answers are built by them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from filterd.monitor.metrics.boxstatus import BoxStatus


class Answer(BaseModel):
    """Base: frozen, nothing beside what is named."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProblemDocument(BaseModel):
    """A refusal (RFC 9457): what is wrong and what to do."""

    type: str
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    code: Annotated[str, Field(description="stable word for programs")]
    remedy: str = ""


class ShownEvent(Answer):
    """A blocked lookup, collapsed; names of illegal content are null."""

    time: Annotated[str, Field(description="start of its five minutes, UTC")]
    school: str
    group: str
    tier: str
    pseudonym: str
    domain: str | None
    name: str | None
    category: str
    list: str
    rule: str | None
    layer: str
    verdict: Literal["block", "rewrite"]
    reason: str
    count: int


class EventsPage(Answer):
    """A page of events, newest first."""

    events: list[ShownEvent]
    next: Annotated[str | None, Field(description="cursor of the next page; null: this is the last")]


class Titles(Answer):
    """A school's title in three languages; empty where it is not told."""

    kk: str = ""
    ru: str = ""
    en: str = ""


class BoxCounts(Answer):
    """How many boxes of a school are in which state."""

    reporting: int = 0
    silent: int = 0
    never: int = 0


class ShownSchool(Answer):
    """A school, noted by people or known by its box."""

    school: str
    titles: Titles
    region: str
    district: str
    devices: Annotated[int, Field(description="as the school counts them; 0: not told")]
    operator_service: Literal["yes", "no", ""]
    operator_since: str
    responsible: str
    boxes: BoxCounts


class SchoolsPage(Answer):
    """A page of schools, by id."""

    schools: list[ShownSchool]
    next: str | None


class ShownBox(Answer):
    """A box that may deliver. One that is silent is silent, whatever it reported before."""

    school: str
    box: str
    state: Literal["reporting", "silent", "never"]
    origin: Literal["configuration", "store"]
    last_seen: Annotated[int | None, Field(description="UTC seconds; null: never")]
    token_issued: Annotated[int | None, Field(description="UTC seconds; null: not known")]
    older_token_until: Annotated[int | None, Field(description="the token before it ends then")]
    version: str
    policy_version: str
    index_version: str
    clock_offset: Annotated[int | None, Field(description="seconds its clock was ahead at its last report")]

    @classmethod
    def of(cls, box: BoxStatus) -> ShownBox:
        """Return a box's status as it is shown."""
        return cls(
            school=box.school,
            box=box.box,
            state=box.state,
            origin="configuration" if box.origin == "configuration" else "store",
            last_seen=box.last_seen or None,
            token_issued=box.token_issued or None,
            older_token_until=box.older_token_until or None,
            version=box.version,
            policy_version=box.policy_version,
            index_version=box.index_version,
            clock_offset=box.clock_offset,
        )


class BoxesPage(Answer):
    """A page of boxes, by school and box."""

    boxes: list[ShownBox]
    next: str | None


class TargetGroup(Answer):
    """Targets for Prometheus (HTTP service discovery)."""

    targets: list[str]
    labels: dict[str, str]


class Status(Answer):
    """That the program runs, or that its store takes rows."""

    status: str
