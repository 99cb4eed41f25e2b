"""Bytes of ``POST /v1/batches`` -> a checked Delivery, or a Problem that tells the box what to do.

Pure. Bounded in time and memory whatever arrives: gunzip stops at the limit, the number of JSON values is
counted before they become objects, batches are checked one by one. Nothing of what was sent is echoed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from filterd.events.batch import BUCKET_SECONDS, HOUR_SECONDS, MAX_BATCHES, Batch, Delivery, Health
from filterd.monitor.problems import Problem
from filterd.monitor.settings import MonitorLimits

_GZIP = 16 + zlib.MAX_WBITS
_ENCODINGS = frozenset({"", "identity", "gzip", "x-gzip"})
_SHOWN_ERRORS = 5
_Checked = TypeVar("_Checked", bound=BaseModel)


def check_headers(content_type: str, encoding: str) -> None:
    """Refuse a body that is not JSON or is packed in a way not known here.

    Args:
        content_type: the media type without parameters, lower case.
        encoding: Content-Encoding, lower case; ``""`` when absent.

    Raises:
        Problem: 415.
    """
    if content_type != "application/json":
        raise Problem(415, "not-json", "the body must be JSON", remedy="send Content-Type: application/json")
    if encoding not in _ENCODINGS:
        raise Problem(
            415,
            "encoding",
            "this Content-Encoding is not known here",
            remedy="send gzip or nothing",
            headers={"Accept-Encoding": "gzip"},
        )


def unpack(body: bytes, encoding: str, limits: MonitorLimits) -> bytes:
    """Return the JSON text of a body.

    Raises:
        Problem: 400 not gzip, cut short or with a tail; 413 bigger than ``limits.json_bytes`` unpacked.
    """
    if encoding in {"", "identity"}:
        text = body
    else:
        unzip = zlib.decompressobj(_GZIP)
        try:
            text = unzip.decompress(body, limits.json_bytes + 1)
        except zlib.error as error:
            raise Problem(400, "bad-gzip", "the body is not gzip") from error
        if len(text) <= limits.json_bytes and (not unzip.eof or unzip.unused_data):
            raise Problem(400, "bad-gzip", "the gzip body is cut short or has something behind its end")
    if len(text) > limits.json_bytes:
        raise too_large(f"the delivery is over {limits.json_bytes} bytes unpacked")
    return text


def too_large(detail: str) -> Problem:
    """Return the 413 that asks for smaller deliveries."""
    return Problem(413, "too-large", detail, remedy="send fewer batches at once")


def parse(text: bytes, *, box: str, school: str, limits: MonitorLimits) -> Delivery:
    """Return the delivery of a box that has shown its token.

    Raises:
        Problem: 400 no JSON; 403 it speaks for another box or school; 413 too many values; 422 it does not
            fit the schema - the member ``sequence`` names the first bad batch when the fault lies in one,
            so that the box can send the others and put that one aside.
    """
    if text.count(b",") + text.count(b"{") + text.count(b"[") > limits.json_values:
        raise too_large("the delivery holds too many values")
    try:
        raw = from_json(text)
    except ValueError as error:
        raise Problem(400, "bad-json", "the body is not JSON text in UTF-8") from error
    if not isinstance(raw, dict):
        raise Problem(422, "bad-delivery", "a delivery is a JSON object")
    batches = raw.get("batches")
    head = _validate(Delivery, raw | {"batches": []}, "bad-delivery", "")
    if (head.box, head.school) != (box, school):
        raise Problem(
            403,
            "foreign-box",
            "the token belongs to another box or school than the delivery names",
            remedy="check box and school in the box's configuration",
        )
    if head.health is not None:
        _check_texts(head.health)
    if not isinstance(batches, list) or len(batches) > MAX_BATCHES:
        raise Problem(422, "bad-delivery", f"batches must be a list of at most {MAX_BATCHES}")
    return head.model_copy(update={"batches": _batches(batches)})


def _check_texts(health: Health) -> None:
    """Refuse control characters: PostgreSQL cannot store NUL, and a terminal obeys the others."""
    if not (health.version + health.policy_version + health.index_version).isprintable():
        raise Problem(422, "bad-delivery", "a version in the health report holds a control character")
    if health.selftest is not None and not health.selftest.error.isprintable():
        raise Problem(422, "bad-delivery", "the self-test's error holds a control character")


def bad_batch(code: str, detail: str, sequence: object, **extra: object) -> Problem:
    """Return the 422 that names the batch at fault."""
    known = isinstance(sequence, int) and not isinstance(sequence, bool) and 0 < sequence <= 2**53
    return Problem(
        422,
        code,
        detail,
        remedy="send the other batches without this one; nothing of this delivery was stored",
        extra=({"sequence": sequence} if known else {}) | extra,
    )


def _batches(items: list[object]) -> list[Batch]:
    batches: list[Batch] = []
    for place, item in enumerate(items):
        batch = _validate(Batch, item, "bad-batch", f"batches.{place}")
        if batches and batch.sequence <= batches[-1].sequence:
            raise bad_batch("bad-order", "sequences must ascend within a delivery", batch.sequence)
        if any(event.bucket % BUCKET_SECONDS for event in batch.events):
            raise bad_batch("bad-batch", f"a bucket is no multiple of {BUCKET_SECONDS}", batch.sequence)
        if any(hour % HOUR_SECONDS for hour in _hours(batch)):
            raise bad_batch("bad-batch", f"an hour is no multiple of {HOUR_SECONDS}", batch.sequence)
        batches.append(batch)
    return batches


def _hours(batch: Batch) -> Iterator[int]:
    yield from (usage.hour for usage in batch.usage)
    yield from (alive.hour for alive in batch.alive)


def _validate(model: type[_Checked], value: object, code: str, place: str) -> _Checked:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        _refuse(error, value, code, place)


def _refuse(error: ValidationError, value: object, code: str, place: str) -> NoReturn:
    """Raise the 422 for a schema error: places and reasons, never values."""
    faults = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False)[:_SHOWN_ERRORS]:
        # The name of an unknown member is what the caller made up: its parent is named instead.
        path = fault["loc"][:-1] if fault["type"] == "extra_forbidden" else fault["loc"]
        steps = [place, *(str(step) for step in path)] if place else [str(step) for step in path]
        faults.append({"place": ".".join(steps)[:100], "fault": fault["msg"][:200]})
    detail = (
        f"{error.error_count()} faults, the first at {faults[0]['place'] or 'the top'}: {faults[0]['fault']}"
    )
    sequence = value.get("sequence") if code == "bad-batch" and isinstance(value, dict) else None
    raise bad_batch(code, detail, sequence, faults=faults) from None
