"""Lookups of a device -> hits: one per registrable domain and 5 minutes, whatever was asked and repeated.

A, AAAA and HTTPS of a name, its retries and the CNAMEs it leads to are one visit of a person; so is a page
that asks for ten names of one site. A hit is doubtful when every lookup of it carries a hint: one lookup
without a hint is enough for a person to have meant it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

STEP_SECONDS = 300


class Lookup(NamedTuple):
    """What a pattern needs of a stored event.

    Args:
        at: UTC seconds within the day.
        domain: registrable domain.
        doubtful: the event carries a hint.
    """

    at: int
    domain: str
    doubtful: bool


class Hit(NamedTuple):
    """A visit.

    Args:
        step: 5-minute steps since the day began.
        domain: registrable domain.
        doubtful: every lookup of it was.
    """

    step: int
    domain: str
    doubtful: bool


def collapse(lookups: Iterable[Lookup], day_start: int) -> list[Hit]:
    """Return the hits of one device's lookups of one day in one category, ascending.

    Args:
        lookups: in any order, repeated or not.
        day_start: UTC seconds at which the day began.
    """
    found: dict[tuple[int, str], bool] = {}
    for at, domain, doubtful in lookups:
        key = ((at - day_start) // STEP_SECONDS, domain)
        found[key] = found.get(key, True) and doubtful
    return [Hit(step, domain, found[step, domain]) for step, domain in sorted(found)]
