"""A store with schools that have a month, written row by row as boxes and people would leave it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import timedelta, timezone
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Connection, Table, create_engine, insert

from filterd.monitor.reports.month import Month, day_number
from filterd.monitor.store import paperwork as paper
from filterd.monitor.store import schema
from filterd.monitor.store.engine import migrate

ZONE = timezone(timedelta(hours=5))
OCTOBER = Month.of(2026, 10)
BEGIN, END = OCTOBER.span(ZONE)
AFTER = END + 86_400.0
HOUR = 3600
ALWAYS = (1 << 12) - 1
_NOTHING: dict[type, Any] = {str: "", bytes: b"", bool: False}
TIERS = ("primary", "middle", "senior", "staff", "guest")


@dataclass
class Seed:
    """One school's month.

    Args:
        school: its id.
        cells: (category, tier) -> devices that had blocked lookups, and lookups in all.
    """

    school: str
    cells: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    allowed: int = 100_000
    rewritten: int = 900
    up: float = 1.0
    changes: dict[str, Any] = field(default_factory=dict)
    box: bool = True
    listed: bool = True
    month: Month = OCTOBER

    def rows(self) -> list[tuple[Table, list[dict[str, Any]]]]:
        rows = [(paper.SCHOOLS, [self.listing()])] if self.listed else []
        if not self.box:
            return rows
        return [
            *rows,
            (schema.USAGE_MONTHS, self.usage()),
            (schema.DEVICE_DAYS, list(self.devices())),
            (schema.BOXES, [self.heard()]),
            (schema.BOX_HOURS, self.hours()),
            (schema.SELFTESTS, [self.selftest(at) for at in self.test_times()]),
            (schema.PROCESSES, [self.process()]),
        ]

    def listing(self) -> dict[str, Any]:
        return {
            "school": self.school,
            "title_kk": f"№ {self.school} Құнанбай атындағы мектеп",
            "title_ru": f"Школа № {self.school} имени Кунанбая",
            "title_en": f"School {self.school} named after Kunanbay",
            "region": "almaty",
            "district": "medeu",
            "devices": 400,
            "operator_service": "yes",
            "operator_since": "2025-09-01",
            "responsible": "Әсел Ғабитқызы Өмірбекова",
            "changed": BEGIN,
        } | self.changes

    def usage(self) -> list[dict[str, Any]]:
        base = {"school": self.school, "month": self.month.number, "tier": "middle", "category": ""}
        rows = [
            base | {"outcome": "allowed", "queries": self.allowed},
            base | {"outcome": "rewritten", "queries": self.rewritten},
            base | {"outcome": "canary", "queries": 321},
            base | {"outcome": "failed", "queries": 45},
            base | {"outcome": "stale", "queries": 17},
        ]
        for (category, tier), (_devices, queries) in self.cells.items():
            rows.append(base | {"tier": tier, "category": category, "outcome": "blocked", "queries": queries})
        return rows

    def devices(self) -> Any:
        first = day_number(self.month.first)
        for (category, tier), (devices, _queries) in self.cells.items():
            for number in range(devices):
                for day in (first + 1 + number % 20, first + 8 + number % 20):
                    yield {
                        "school": self.school,
                        "day": day,
                        "pseudonym": f"{self.school}{tier}{number:03}".ljust(16, "a")[:32],
                        "category": category,
                        "group_id": "class-7",
                        "tier": tier,
                        "hits": 1,
                        "doubtful": 0,
                        "domains": 1,
                        "buckets": "100",
                    }

    def heard(self) -> dict[str, Any]:
        numbers = {column.name: 0 for column in schema.BOXES.columns if column.name not in ("school", "box")}
        seen = {"first_seen": BEGIN - 86_400 * 300, "last_seen": int(AFTER)}
        return numbers | {"school": self.school, "box": "box1"} | seen

    def hours(self) -> list[dict[str, Any]]:
        begin, end = self.month.span(ZONE)
        hours = range(begin, end, HOUR)
        live = int(len(hours) * self.up)
        return [
            {"school": self.school, "box": "box1", "hour": hour, "steps": ALWAYS} for hour in hours[:live]
        ]

    def test_times(self) -> list[int]:
        begin, end = self.month.span(ZONE)
        return list(range(begin + 8 * HOUR, end, 86_400))

    def selftest(self, at: int) -> dict[str, Any]:
        return {
            "school": self.school,
            "box": "box1",
            "at": at,
            "policy_version": "a1b2c3d4e5f6" if at < BEGIN + 86_400 * 10 else "0f9e8d7c6b5a",
            "index_version": "20261001T020000Z",
            "tested": 32,
            "failed": "gambling" if at < BEGIN + 86_400 else "",
            "no_source": "csam,extremism,selfharm,eating",
            "learning_tested": 20,
            "learning_answered": 19,
            "error": "",
        }

    def process(self) -> dict[str, Any]:
        return {
            "school": self.school,
            "box": "box1",
            "stream": "s" * 32,
            "received": int(AFTER),
            "at": int(AFTER),
            "started": BEGIN,
            "version": "0.1.0",
            "policy_version": "0f9e8d7c6b5a",
            "index_version": "x",
            "health": json.dumps({"index_built": END - 86_400, "lists_oldest": END - 3 * 86_400}),
        }


CELLS = {
    ("adult", "middle"): (23, 410),
    ("adult", "senior"): (12, 230),
    ("adult", "primary"): (2, 7),
    ("gambling", "middle"): (9, 88),
    ("gambling", "senior"): (3, 41),
    ("gambling", "staff"): (6, 19),
    ("selfharm", "middle"): (2, 5),
    ("social", "primary"): (40, 5200),
    ("social", "middle"): (61, 8125),
    ("social", "guest"): (8, 77),
    ("ads", "primary"): (70, 30_010),
    ("ads", "middle"): (90, 41_000),
    ("ads", "senior"): (50, 19_500),
    ("ads", "staff"): (30, 12_345),
    ("ads", "guest"): (9, 4444),
    ("malware", "staff"): (1, 3),
    ("bypass", "middle"): (11, 64),
    ("bypass", "senior"): (14, 92),
    ("doh", "middle"): (30, 410),
    ("", "middle"): (7, 31),
}


def review(
    school: str, number: int, *, hours: float | None = 5, overblock: bool = False, **changes: Any
) -> Any:
    asked = changes.pop("asked", BEGIN + 86_400 * number)
    return {
        "school": school,
        "number": number,
        "asked": asked,
        "asked_as": "staff",
        "domain": "wrongly-blocked.example.kz",
        "category": "games",
        "text": "for my lesson",
        "state": "granted" if hours is not None else "open",
        "decided": int(asked + hours * HOUR) if hours is not None else 0,
        "decided_by": "admin",
        "reason": "",
        "overblock": overblock,
    } | changes


def people(school: str) -> list[tuple[Table, list[dict[str, Any]]]]:
    """What people did in the month."""
    submission = {"domain": "casino.example.com", "url": "https://casino.example.com/x", "reason": "casino"}
    submission |= {"evidence": "seen", "reviewer": "А. Б.", "school": school, "created": BEGIN + 9}
    card = {"school": school, "category": "gambling", "tier": "senior", "pseudonym": "abcdefgh", "note": b"x"}
    card |= {"pattern": "sustained", "state": "open", "reviewer": "p"}
    release = {
        "school": school,
        "card": 1,
        "purpose": "help",
        "asked_by": "p",
        "decided_by": "d",
        "expires": 0,
    }
    return [
        (
            paper.REVIEW_REQUESTS,
            [
                review(school, 1, hours=2, overblock=True),
                review(school, 2, hours=5),
                review(school, 3, hours=30, state="refused"),
                review(school, 4, hours=None),
                review(school, 5, asked=BEGIN - 86_400, hours=48, overblock=True),
                review(school, 6, asked=END + 5, hours=1),
            ],
        ),
        (
            paper.SUBMISSIONS,
            [
                submission | {"number": 1, "state": "candidate", "changed": BEGIN + 10},
                submission | {"number": 2, "state": "prepared", "changed": END, "prepared": BEGIN},
                submission | {"number": 3, "state": "sent", "prepared": BEGIN, "sent": BEGIN + 9},
                submission
                | {"number": 4, "state": "confirmed", "prepared": BEGIN, "sent": END - 9, "decided": END - 1},
                submission
                | {
                    "number": 5,
                    "state": "confirmed",
                    "prepared": BEGIN - 9,
                    "sent": BEGIN - 1,
                    "decided": END,
                },
            ],
        ),
        (
            paper.CARDS,
            [
                card | {"number": 1, "opened": BEGIN + 5, "closed": 0},
                card | {"number": 2, "opened": BEGIN + 5, "closed": BEGIN + 9},
                card | {"number": 3, "opened": BEGIN - 5, "closed": END - 9},
                card | {"number": 4, "opened": END + 5, "closed": 0},
            ],
        ),
        (
            paper.RELEASES,
            [
                release | {"number": 1, "asked": BEGIN + 5, "decided": BEGIN + 9, "state": "approved"},
                release | {"number": 2, "asked": BEGIN + 6, "decided": BEGIN + 9, "state": "refused"},
            ],
        ),
    ]


def fact(school: str, name: str, value: str, month: Month = OCTOBER) -> dict[str, Any]:
    return {"school": school, "month": month.number, "name": name, "value": value, "by": "admin", "at": BEGIN}


def region(count: int, *, seed: int = 1, month: Month = OCTOBER) -> list[Seed]:
    """Schools of different size, seeded."""
    random = Random(seed)
    schools = []
    for number in range(1, count + 1):
        size = random.choice((0.2, 0.6, 1.0, 2.0))
        cells = {}
        for key, (devices, queries) in CELLS.items():
            if random.random() < 0.85:
                some = max(1, int(devices * size * random.uniform(0.3, 1.2)))
                cells[key] = (some, max(some, int(queries * size * random.uniform(0.5, 1.5))))
        up = random.choice((1.0, 0.999, 0.97, 0.6))
        schools.append(Seed(f"s{number:03}", cells, up=up, allowed=int(90_000 * size), month=month))
    return schools


def fill(path: Path, *sources: Seed | tuple[Table, list[dict[str, Any]]]) -> str:
    """Write schools and single rows into the SQLite store at ``path``; return its URL."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        migrate(connection)
        for source in sources:
            for table, rows in source.rows() if isinstance(source, Seed) else [source]:
                put(connection, table, rows)
    engine.dispose()
    return f"sqlite:///{path}"


def put(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Write rows; what a test does not care about is 0 or empty."""
    empty = {column.name: _NOTHING.get(column.type.python_type, 0) for column in table.columns}
    if rows:
        connection.execute(insert(table), [empty | row for row in rows])
