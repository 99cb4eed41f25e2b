"""What people would have written in the month: schools, review requests, submissions, cards, facts."""

from __future__ import annotations

from random import Random
from typing import Any

from sqlalchemy import Table

from filterd.monitor.demo.schools import DISTRICT, REGION, SCHOOLS, DemoSchool
from filterd.monitor.demo.traffic import pseudonym
from filterd.monitor.reports.paper import CONNECTED, INCIDENTS, TOTAL
from filterd.monitor.store import paperwork as paper

DAY = 86_400
PERSON = "Демонстрация (demonstration)"
Rows = list[dict[str, Any]]


def rows(begin: int, end: int, months: list[int], chance: Random) -> list[tuple[Table, Rows]]:
    """Return the rows of the paperwork tables.

    Args:
        begin: of the period, UTC seconds.
        end: of the period.
        months: whose facts are told, as the store numbers them.
        chance: seeded.
    """
    return [
        (paper.SCHOOLS, [_listing(school, begin) for school in SCHOOLS]),
        (paper.REVIEW_REQUESTS, [row for school in SCHOOLS for row in _reviews(school, begin, end, chance)]),
        (paper.SUBMISSIONS, [_submission(number, begin, end) for number in range(1, 13)]),
        (paper.CARDS, [_card(school, begin, end) for school in SCHOOLS if school.number % 4 == 1]),
        (paper.FACTS, [row for month in months for row in _facts(month, end)]),
    ]


def _listing(school: DemoSchool, begin: int) -> dict[str, Any]:
    return {
        "school": school.id,
        **school.titles,
        "region": REGION,
        "district": DISTRICT,
        "devices": school.devices,
        "operator_service": ("yes", "yes", "yes", "no", "")[school.number % 5],
        "operator_since": "2025-09-01" if school.number % 5 < 3 else "",
        "responsible": PERSON,
        "changed": begin,
    }


def _reviews(school: DemoSchool, begin: int, end: int, chance: Random) -> Rows:
    found: Rows = []
    for number in range(1, chance.randrange(1, 5)):
        asked = chance.randrange(begin, max(begin + 1, end - DAY))
        state = chance.choice(("open", "granted", "granted", "refused"))
        found.append(
            {
                "school": school.id,
                "number": number,
                "asked": asked,
                "asked_as": chance.choice(("pupil", "parent", "staff")),
                "domain": f"lesson-{number}.example",
                "category": "games",
                "text": "Демонстрация: сайт нужен на уроке.",
                "state": state,
                "decided": 0 if state == "open" else asked + chance.randrange(3600, DAY),
                "decided_by": "" if state == "open" else PERSON,
                "reason": "" if state == "open" else "Демонстрация",
                "overblock": state == "granted",
            }
        )
    return found


def _submission(number: int, begin: int, end: int) -> dict[str, Any]:
    state = ("candidate", "prepared", "sent", "confirmed", "refused")[number % 5]
    return {
        "school": SCHOOLS[number].id,
        "number": number,
        "domain": f"casino-{number}.example",
        "url": "" if state == "candidate" else f"https://casino-{number}.example/demonstration",
        "reason": "casino",
        "evidence": "Демонстрация (demonstration)",
        "reviewer": PERSON,
        "state": state,
        "created": begin + number * DAY,
        "changed": min(begin + (number + 2) * DAY, end),
    }


def _card(school: DemoSchool, begin: int, end: int) -> dict[str, Any]:
    closed = school.number % 8 == 1
    return {
        "school": school.id,
        "number": 1,
        "category": "gambling",
        "tier": "senior",
        "pseudonym": pseudonym(school, 20_000),  # the device with the pattern (traffic.py)
        "pattern": "sustained",
        "opened": begin + 14 * DAY,
        "closed": min(begin + 21 * DAY, end) if closed else 0,
        "state": "closed" if closed else "open",
        "reviewer": PERSON,
        "note": b"",
    }


def _facts(month: int, end: int) -> Rows:
    told = {
        CONNECTED: "17",
        TOTAL: "20",
        INCIDENTS: "Демонстрация: придуманные данные. Demonstration: made-up data.",
        "demonstration": "yes",
    }
    return [
        {"school": "", "month": month, "name": name, "value": value, "by": PERSON, "at": end}
        for name, value in told.items()
    ]
