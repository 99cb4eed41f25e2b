"""What stands at the monitoring endpoint, asked over HTTP; and what still waits on the box."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from _programs import Filterd, until


def get(url: str, *, token: str = "", body: bytes | None = None) -> tuple[int, bytes]:
    """Return status and body of a request."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if body is not None:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - our own http URL
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def events(filterd: Filterd, **narrowed: Any) -> list[dict[str, Any]]:
    """Return every event, page by page; none while the endpoint does not answer."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        query = urllib.parse.urlencode({**narrowed, "limit": 500, **({"cursor": cursor} if cursor else {})})
        try:
            status, body = get(f"{filterd.url}/v1/events?{query}")
        except OSError:
            return []
        assert status == 200, body
        page = json.loads(body)
        found += page["events"]
        cursor = page["next"]
        if not cursor:
            return found


def counts(filterd: Filterd, **narrowed: Any) -> Counter[str]:
    """Return how many lookups of each name were stored; a minute's border may make two rows of one name."""
    stored: Counter[str] = Counter()
    for event in events(filterd, **narrowed):
        stored[event["name"]] += event["count"]
    return stored


def arrived(filterd: Filterd, names: Iterable[str], each: int = 1) -> Counter[str]:
    """Wait until all names are stored so often, and return what is stored."""
    wanted = dict.fromkeys(names, each)

    def all_there() -> Counter[str] | None:
        stored = counts(filterd)
        return stored if all(stored[name] >= each for name in wanted) else None

    stored = until(all_there, "all events", 90)
    assert isinstance(stored, Counter)
    return stored


def waiting(state: Path) -> Counter[str]:
    """Return the blocked lookups that are durable on the box and not delivered yet, by name."""
    found: Counter[str] = Counter()
    for file in (state / "outbox").glob("*.outbox"):
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as connection:
            for (payload,) in connection.execute("SELECT payload FROM batches"):
                for event in json.loads(payload)["events"]:
                    found[event["name"]] += event["count"]
    return found


def metric(filterd: Filterd, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that bear the labels."""
    _, body = get(f"{filterd.url}/metrics")
    total = 0.0
    for line in body.decode().splitlines():
        if line.startswith((f"{name}{{", f"{name} ")) and all(
            f'{k}="{v}"' in line for k, v in labels.items()
        ):
            total += float(line.rsplit(" ", 1)[1])
    return total
