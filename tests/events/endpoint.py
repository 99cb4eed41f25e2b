"""A monitoring endpoint in a page: takes deliveries, stores each batch once, and can be told to misbehave.

Run as a program it listens on a given port: ``endpoint.py DATABASE PORT``.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

from aiohttp import web
from pydantic import ValidationError

from filterd.events.batch import Delivery, Receipt

ACCEPTED = "right"
SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    box TEXT, stream TEXT, sequence INTEGER, PRIMARY KEY (box, stream, sequence)
);
CREATE TABLE IF NOT EXISTS events (name TEXT, pseudonym TEXT, count INTEGER);
CREATE TABLE IF NOT EXISTS usage (grp TEXT, outcome TEXT, queries INTEGER);
"""


class Store:
    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.executescript(SCHEMA)

    def accept(self, delivery: Delivery) -> list[int]:
        run = self.connection.execute
        run("BEGIN IMMEDIATE")
        for batch in delivery.batches:
            key = (delivery.box, delivery.stream, batch.sequence)
            if run("INSERT OR IGNORE INTO batches VALUES (?, ?, ?)", key).rowcount:
                for event in batch.events:
                    run("INSERT INTO events VALUES (?, ?, ?)", (event.name, event.pseudonym, event.count))
                for usage in batch.usage:
                    run("INSERT INTO usage VALUES (?, ?, ?)", (usage.group, usage.outcome, usage.queries))
        run("COMMIT")
        return [batch.sequence for batch in delivery.batches]

    def events(self) -> list[tuple[str, int]]:
        """Every stored row: an event stored twice is here twice."""
        return self.connection.execute("SELECT name, count FROM events ORDER BY rowid").fetchall()

    def usage(self) -> dict[tuple[str, str], int]:
        rows = self.connection.execute("SELECT grp, outcome, sum(queries) FROM usage GROUP BY grp, outcome")
        return {(group, outcome): queries for group, outcome, queries in rows}

    def close(self) -> None:
        self.connection.close()


class Endpoint:
    """The endpoint.

    Attributes:
        script: faults for the next requests, in order; each gets "before" or "after" (it is stored) and
            returns a response to give instead of the right one, or None.
        poison: a batch with an event of such a name is refused with 422.
        deliveries: what came, as it was understood.
        encodings: the Content-Encoding of each request.
    """

    url = ""

    def __init__(self, path: Path, *, token: str) -> None:
        self.store = Store(path)
        self.token = token
        self.script: deque[Callable[[str], web.Response | None]] = deque()
        self.poison: set[str] = set()
        self.names_culprit = False
        self.always: Callable[[str], web.Response | None] | None = None
        self.deliveries: list[Delivery] = []
        self.encodings: list[str] = []

    def application(self) -> web.Application:
        application = web.Application(client_max_size=16 * 1024 * 1024)
        application.router.add_post("/v1/batches", self.post)
        return application

    async def post(self, request: web.Request) -> web.Response:
        fault = self.script.popleft() if self.script else self.always or (lambda _: None)
        self.encodings.append(request.headers.get("Content-Encoding", ""))
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        if (wrong := fault("before")) is not None:
            return wrong
        try:
            delivery = Delivery.model_validate_json(await request.read())
        except ValidationError as error:
            return web.Response(status=422, text=str(error))
        self.deliveries.append(delivery)
        for batch in delivery.batches:
            if self.poison & {event.name for event in batch.events}:
                named = {"sequence": batch.sequence} if self.names_culprit else {}
                return web.json_response({"title": "bad batch", **named}, status=422)
        receipt = Receipt(acknowledged=self.store.accept(delivery))
        if (wrong := fault("after")) is not None:
            return wrong
        return web.Response(text=receipt.model_dump_json(), content_type="application/json")


def main() -> None:
    endpoint = Endpoint(Path(sys.argv[1]), token=ACCEPTED)
    web.run_app(
        endpoint.application(),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        print=lambda *_: os.write(1, b"ready\n"),
        access_log=None,
    )


if __name__ == "__main__":
    main()
