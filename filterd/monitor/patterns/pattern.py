"""A device's days in one category -> its pattern: single, episode or sustained.

Says what was seen, never what it means: DNS cannot show intent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

SUSTAINED_DAYS = 3
SUSTAINED_OF = 14


class Pattern(StrEnum):
    """What the summary shows, weakest first."""

    SINGLE = "single"  # one bucket, or a few too far apart for an episode: counted only
    EPISODE = "episode"  # 3 or more buckets, or 3 or more distinct domains, in 60 minutes
    SUSTAINED = "sustained"  # episodes on 3 or more school days of 14: a review card


@dataclass(frozen=True, slots=True)
class Day:
    """One device's day in one category, as DEVICE_DAYS holds it.

    Args:
        day: number of the day (days.py).
        buckets: 5-minute steps with a hit that is not doubtful.
        episodes: how many episodes they make.
    """

    day: int
    buckets: int
    episodes: int


def pattern_of(days: Iterable[Day], *, is_school_day: Callable[[int], bool]) -> Pattern | None:
    """Return the strongest pattern that these days show, ``None`` when nothing of them is sure.

    Args:
        days: of one device and category, in any order, one for each day. A device has a new pseudonym each
            term, so they never reach over the border of a term.
        is_school_day: day -> whether lessons were held.
    """
    active = [day for day in days if day.buckets]
    with_episode = sorted({day.day for day in active if day.episodes})
    school = [day for day in with_episode if is_school_day(day)]
    third = SUSTAINED_DAYS - 1
    if any(school[n + third] - school[n] < SUSTAINED_OF for n in range(len(school) - third)):
        return Pattern.SUSTAINED
    if with_episode:
        return Pattern.EPISODE
    return Pattern.SINGLE if active else None
