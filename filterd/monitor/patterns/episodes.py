"""Hits of a day -> episodes: 3 or more buckets, or 3 or more distinct domains, in 60 minutes."""

from __future__ import annotations

from collections.abc import Iterable

from filterd.monitor.patterns.hits import STEP_SECONDS, Hit

BUCKETS = 3
DOMAINS = 3
WINDOW_STEPS = 3600 // STEP_SECONDS


def episodes(hits: Iterable[Hit]) -> list[int]:
    """Return the steps at which episodes begin; doubtful hits are discounted.

    Each episode is an hour; the next can begin only when it is over, so that a long afternoon is a few
    episodes and not one for every bucket.

    Args:
        hits: of one device, day and category, in any order.
    """
    sure: dict[int, set[str]] = {}
    for hit in hits:
        if not hit.doubtful:
            sure.setdefault(hit.step, set()).add(hit.domain)
    steps = sorted(sure)
    begun: list[int] = []
    for place, step in enumerate(steps):
        if begun and step < begun[-1] + WINDOW_STEPS:
            continue
        window = [later for later in steps[place : place + WINDOW_STEPS] if later < step + WINDOW_STEPS]
        if len(window) >= BUCKETS or len(set().union(*(sure[later] for later in window))) >= DOMAINS:
            begun.append(step)
    return begun


def sure_steps(hits: Iterable[Hit]) -> list[int]:
    """Return the steps with a hit that is not doubtful, ascending."""
    return sorted({hit.step for hit in hits if not hit.doubtful})
