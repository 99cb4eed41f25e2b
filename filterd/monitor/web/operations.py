"""Every address of the API in one table: what it takes, what it answers, who may ask.

The routes, the index at ``/`` and the OpenAPI document are made of it, so that none of them can be forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from filterd.events.batch import Delivery, Receipt
from filterd.monitor.web import listing, roster
from filterd.monitor.web.models import BoxesPage, EventsPage, SchoolsPage, Status, TargetGroup
from filterd.monitor.web.paging import LONGEST_CURSOR, LONGEST_ID, LONGEST_NAME

Right = Literal["", "box", "admin", "metrics"]

_TEXT = {"type": "string", "minLength": 1, "maxLength": LONGEST_ID, "pattern": "^[^\\u0000]*$"}
_TIME = {
    "anyOf": [
        {"type": "string", "pattern": "^[0-9]{1,12}$"},
        {"type": "string", "format": "date-time"},
    ]
}
_SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "school": _TEXT,
    "region": _TEXT,
    "district": _TEXT,
    "category": _TEXT,
    "name": _TEXT | {"maxLength": LONGEST_NAME},
    "since": _TIME,
    "state": {"type": "string", "enum": list(roster.STATES)},
    "cursor": {
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST_CURSOR,
        "pattern": "^[A-Za-z0-9_-]*$",
    },
}
_MEANINGS = {
    "school": "only of this school",
    "region": "only of this region",
    "district": "only of this district",
    "category": "only of this category; none: those without one",
    "name": "only this name and those below it",
    "since": "only from this time on: seconds since 1970, or a time with its zone",
    "state": "only boxes in this state",
    "cursor": "next of the page before",
    "limit": "the most items of a page",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address.

    Args:
        method, path: as in a route.
        handler: name of the method of Api that serves it.
        summary: one line for people.
        right: who may ask; ``""``: everybody.
        parameters: of the query string.
        body: model of the request's JSON.
        answer: model of the answer's JSON, a list of it, or None for another media type.
        media: of the answer.
    """

    method: str
    path: str
    handler: str
    summary: str
    right: Right = ""
    parameters: tuple[str, ...] = ()
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    many: bool = False
    media: str = "application/json"


OPERATIONS: tuple[Operation, ...] = (
    Operation("GET", "/", "index", "where to go on"),
    Operation("GET", "/healthz", "healthz", "200 while the program runs", answer=Status),
    Operation("GET", "/readyz", "readyz", "200 while the store can be written", answer=Status),
    Operation("GET", "/metrics", "metrics", "Prometheus metrics", "metrics", media="text/plain"),
    Operation(
        "POST",
        "/v1/batches",
        "batches",
        "deliveries of boxes, with the box's token",
        "box",
        body=Delivery,
        answer=Receipt,
    ),
    Operation(
        "GET",
        "/v1/events",
        "events",
        "blocked lookups, newest first, for the admin",
        "admin",
        parameters=listing.PARAMETERS,
        answer=EventsPage,
    ),
    Operation(
        "GET",
        "/v1/schools",
        "schools",
        "schools and how many of their boxes report, for the admin",
        right="admin",
        parameters=roster.SCHOOL_PARAMETERS,
        answer=SchoolsPage,
    ),
    Operation(
        "GET",
        "/v1/boxes",
        "boxes",
        "boxes, when they were last heard of, what they run, for the admin",
        right="admin",
        parameters=roster.BOX_PARAMETERS,
        answer=BoxesPage,
    ),
    Operation(
        "GET",
        "/v1/targets",
        "targets",
        "monitors for Prometheus, by HTTP service discovery",
        "metrics",
        answer=TargetGroup,
        many=True,
    ),
    Operation("GET", "/v1/openapi.json", "openapi", "this API as an OpenAPI 3.1 document"),
)


def parameter(name: str, page: int) -> dict[str, Any]:
    """Return the OpenAPI parameter object of a query parameter.

    Args:
        name: of the parameter.
        page: the most items of a page.
    """
    limit = {"type": "integer", "minimum": 1, "maximum": page}
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": _MEANINGS[name],
        "schema": limit if name == "limit" else dict(_SCHEMAS[name]),
    }


def index() -> dict[str, object]:
    """Return what ``GET /`` says."""
    addresses = {}
    for one in OPERATIONS:
        if one.path != "/":
            narrowed = f"; narrowed by {', '.join(one.parameters)}" if one.parameters else ""
            addresses[one.path] = f"{one.method}: {one.summary}{narrowed}"
    return {"filterd": "monitor", "endpoints": addresses}
