"""The OpenAPI 3.1 document, made from the table of operations and the models they name.

No library for it fits aiohttp and pydantic 2; the models' JSON Schema is OpenAPI 3.1's own dialect, so what
is left is a table.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from filterd import __version__
from filterd.events.batch import BUCKET_SECONDS, HOUR_SECONDS
from filterd.monitor.problems import CONTENT_TYPE
from filterd.monitor.web.models import ProblemDocument
from filterd.monitor.web.operations import OPERATIONS, Operation, Right, parameter

_REF = "#/components/schemas/{model}"
_RIGHTS: dict[Right, str] = {
    "box": "the token of a box (filterd box add), or its client certificate",
    "admin": "the admin's token (admin.token in the state folder)",
    "metrics": "the scraper's or the admin's token",
}


def document(*, page: int, metrics_need_token: bool) -> dict[str, Any]:
    """Return the document.

    Args:
        page: the most items of a page.
        metrics_need_token: whether scrapers must show one.
    """
    models: dict[type[BaseModel], None] = dict.fromkeys(
        model for one in OPERATIONS for model in (one.body, one.answer) if model is not None
    )
    # An answer is described as it is sent: all its members are there.
    asked: set[type[BaseModel] | None] = {one.body for one in OPERATIONS}
    wanted: list[type[BaseModel]] = [*models, ProblemDocument]
    modes: dict[type[BaseModel], JsonSchemaMode] = {
        model: "validation" if model in asked else "serialization" for model in wanted
    }
    names, schemas = models_json_schema(list(modes.items()), ref_template=_REF)
    components = dict(schemas["$defs"])
    _add_checks(components)
    refs = {model: names[model, mode] for model, mode in modes.items()}
    paths: dict[str, Any] = {}
    for one in OPERATIONS:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(
            one, refs, page=page, open_metrics=not metrics_need_token
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "filterd monitor",
            "version": __version__,
            "description": "What the boxes of schools report. Refusals are RFC 9457 problems; a listing's "
            "next is the cursor of its next page; over the rate comes 429 with Retry-After.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                right: {"type": "http", "scheme": "bearer", "description": text}
                for right, text in _RIGHTS.items()
            },
        },
    }


def _operation(
    one: Operation, refs: dict[type[BaseModel], Any], *, page: int, open_metrics: bool
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": one.handler,
        "summary": one.summary,
        "security": _security(one.right, open_metrics=open_metrics),
        "responses": {
            "200": {"description": "done", "content": {one.media: {"schema": _answer(one, refs)}}},
            "default": {
                "description": "refused",
                "content": {CONTENT_TYPE: {"schema": refs[ProblemDocument]}},
            },
        },
    }
    if one.parameters:
        found["parameters"] = [parameter(name, page) for name in one.parameters]
    if one.body is not None:
        found["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": refs[one.body]}},
        }
    return found


def _security(right: Right, *, open_metrics: bool) -> list[dict[str, list[str]]]:
    if not right or (right == "metrics" and open_metrics):
        return []
    return [{right: []}]


def _answer(one: Operation, refs: dict[type[BaseModel], Any]) -> dict[str, Any]:
    if one.answer is None:
        return {"type": "string"} if one.media.startswith("text/") else {"type": "object"}
    ref: dict[str, Any] = refs[one.answer]
    return {"type": "array", "items": ref} if one.many else ref


def _add_checks(components: dict[str, Any]) -> None:
    """Say what ingest checks beside the models' own schema: times are starts of their buckets and hours."""
    for model, name, step in (
        ("Event", "bucket", BUCKET_SECONDS),
        ("Usage", "hour", HOUR_SECONDS),
        ("Alive", "hour", HOUR_SECONDS),
    ):
        components[model]["properties"][name]["multipleOf"] = step
    # pydantic writes the pattern of the keys, not that there are no others.
    components["Health"]["properties"]["values"]["additionalProperties"] = False
