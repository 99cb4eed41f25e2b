"""One school's day as its box would deliver it: usage, events, uptime, health. Pure: chance is an argument.

The volume is sampled: a pupil's device makes some dozen lookups a day here, thousands in life.
"""

from __future__ import annotations

from base64 import b32encode
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, time
from hashlib import blake2b
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from filterd.events.batch import (
    BUCKET_SECONDS,
    HOUR_SECONDS,
    Alive,
    Batch,
    Delivery,
    Event,
    Health,
    SelfTest,
    Usage,
)
from filterd.monitor.demo.schools import DemoSchool
from filterd.monitor.demo.times import hours, is_school_day
from filterd.monitor.health import LATENCY_BUCKETS, LATENCY_SUM

_TIERS: Final = {"primary": 0.2, "middle": 0.42, "senior": 0.25, "staff": 0.13}
# Weights of what is blocked. No csam and no extremism: a demonstration does not play with them.
_BLOCKED: Final = {
    "ads": 45, "games": 12, "social": 11, "ai": 5, "video": 4, "gambling": 4, "adult": 3, "piracy": 3,
    "doh": 2, "bypass": 2, "malware": 2, "phishing": 2, "unsafe_search": 2, "dating": 1, "alcohol_vape": 1,
    "remote": 0.5, "cheating": 0.5, "selfharm": 0.1,
}  # fmt: skip
_SITES: Final = 8  # invented sites of a category
_LOOKUPS: Final = 14  # of a device and school day, sampled
_EVENTS: Final = 90  # of a school day at most
_ALL_STEPS: Final = (1 << 12) - 1
_PATTERN: Final = "gambling"  # of the device with a sustained pattern
_TESTED: Final = 24


@dataclass(frozen=True, slots=True)
class Day:
    """What a delivery is made for.

    Args:
        school: whose.
        date: which day.
        number: of the day in the period, from 0.
        lesson_day: of the school days in the period, from 0; -1: no school day.
        growth: how the traffic grew since the first day; 1: not.
        zone: in which the day begins.
    """

    school: DemoSchool
    date: date
    number: int
    lesson_day: int
    growth: float
    zone: ZoneInfo

    def at(self, hour: int) -> int:
        """Return an hour of the day as UTC seconds."""
        return int(datetime.combine(self.date, time(hour), self.zone).timestamp())


def stream(school: DemoSchool) -> str:
    """Return the id of the school's outbox."""
    return blake2b(school.id.encode(), digest_size=16).hexdigest()


def pseudonym(school: DemoSchool, device: int) -> str:
    """Return a device of the demonstration; made of nothing but numbers."""
    digest = blake2b(f"{school.id}/{device}".encode(), digest_size=10).digest()
    return b32encode(digest).decode().lower()


def delivery(day: Day, chance: Random) -> Delivery:
    """Return what the school's box delivers at the end of a day."""
    off: frozenset[int] = frozenset(range(12, 24)) if day.number in day.school.outages else frozenset()
    counts = _Counts()
    lookups = day.school.devices * _LOOKUPS * day.growth * chance.uniform(0.9, 1.1)
    for hour, share in hours(day.date).items():
        if hour not in off:
            _hour(counts, day, chance, hour, lookups * share)
    if is_school_day(day.date) and day.number % 2 and not off:
        _pattern(counts)
    batch = Batch(
        sequence=day.number + 1,
        events=_events(counts.events, day),
        usage=_usage(counts.usage, day),
        alive=[Alive(hour=day.at(hour), steps=_ALL_STEPS) for hour in range(24) if hour not in off],
    )
    return Delivery(
        box=day.school.id,
        school=day.school.id,
        stream=stream(day.school),
        batches=[batch],
        health=health(day, lookups),
    )


@dataclass(slots=True)
class _Counts:
    usage: Counter[tuple[int, str, str, str]] = field(
        default_factory=Counter
    )  # hour, tier, category, outcome
    events: Counter[tuple[int, int, str, str, int]] = field(
        default_factory=Counter
    )  # hour, step, tier, category, device * 100 + site


def _hour(counts: _Counts, day: Day, chance: Random, hour: int, all_lookups: float) -> None:
    """Add an hour of all tiers."""
    for tier, part in _TIERS.items():
        lookups = all_lookups * part
        counts.usage[hour, tier, "", "allowed"] += int(lookups * 0.86)
        counts.usage[hour, tier, "", "rewritten"] += int(lookups * 0.03)
        counts.usage[hour, tier, "", "failed"] += int(lookups * chance.uniform(0, 0.01))
        counts.usage[hour, tier, "", "canary"] += int(lookups * 0.005)
        weights = dict(_BLOCKED)
        if day.lesson_day in day.school.spikes and tier in {"middle", "senior"}:
            weights["bypass"] *= 25
        left = max(1, int(_EVENTS * part / 10))
        for category in chance.choices(list(weights), list(weights.values()), k=int(lookups * 0.1)):
            counts.usage[hour, tier, category, "blocked"] += 1
            if left:
                left -= 1
                device = chance.randrange(max(1, int(day.school.devices * part)))
                code = device * 100 + chance.randrange(_SITES)
                counts.events[hour, chance.randrange(12), tier, category, code] += 1


def _pattern(counts: _Counts) -> None:
    """Add the device with a sustained pattern: five steps of one hour, every other school day."""
    for step in range(5):
        counts.events[10, step, "senior", _PATTERN, step % 3] += 2  # device 0
        counts.usage[10, "senior", _PATTERN, "blocked"] += 2


def _events(found: Counter[tuple[int, int, str, str, int]], day: Day) -> list[Event]:
    events = []
    for (hour, step, tier, category, code), count in sorted(found.items()):
        device, site = divmod(code, 100)
        domain = f"{category.replace('_', '-')}-{site + 1}.example"
        events.append(
            Event(
                bucket=day.at(hour) + step * BUCKET_SECONDS,
                group=f"{tier}-devices",
                tier=tier,
                pseudonym=pseudonym(day.school, _offset(tier) + device),
                domain=domain,
                name=f"www.{domain}",
                category=category,
                list="demo-list",
                rule=domain,
                layer="baseline",
                verdict="block",
                reason="category",
                hints="ad_parent" if category == "ads" else "",
                count=count,
            )
        )
    return events


def _offset(tier: str) -> int:
    return list(_TIERS).index(tier) * 10_000


def _usage(found: Counter[tuple[int, str, str, str]], day: Day) -> list[Usage]:
    return [
        Usage.model_validate(
            {
                "hour": day.at(hour) // HOUR_SECONDS * HOUR_SECONDS,
                "group": f"{tier}-devices",
                "tier": tier,
                "category": category,
                "outcome": outcome,
                "queries": count,
            }
        )
        for (hour, tier, category, outcome), count in sorted(found.items())
        if count
    ]


def health(day: Day, lookups: float) -> Health:
    """Return what the box says of itself at the end of the day."""
    now, number = day.at(23), day.number
    total = float(int(lookups * (number + 1)))
    values = {
        "lookups": total,
        "lookups_blocked": float(int(total * 0.1)),
        "cache_hits": float(int(total * 0.6)),
        "cache_misses": float(int(total * 0.3)),
        "cache_entries": float(day.school.devices * 12),
        "upstream_0_up": 1.0,
        "upstream_0_rtt_seconds": 0.021,
        "upstream_1_up": 1.0,
        "upstream_1_rtt_seconds": 0.034,
        "outbox_batches": 0.0,
        "outbox_bytes": 0.0,
        "index_names": 1_204_331.0,
        "lists_oldest": float(now - day.school.lists_days * 86_400 - 7_200),
        "lists_failed": float(day.school.lists_days > 0),
        "bundle_serial": float(day.school.serial),
        "reload_ok": 1.0,
        "selftest_at": float(day.at(6)),
        "selftest_failed": float(_failed(day)),
        LATENCY_SUM: total * 0.004,
    }
    for place, (_bound, key) in enumerate(LATENCY_BUCKETS):
        values[key] = float(int(total * (place + 1) / len(LATENCY_BUCKETS)))
    return Health(
        at=now,
        started=now - (number + 1) * 86_400,
        version="demo",
        policy_version=f"demo-{day.school.serial}",
        index_version=f"demo-{day.school.serial}",
        values=values,
        selftest=SelfTest(
            at=day.at(6),
            tested=_TESTED,
            failed=["gambling"] if _failed(day) else [],
            no_source=["eating", "selfharm"],
            learning_tested=20,
            learning_answered=20 - number % 2,
        ),
    )


def _failed(day: Day) -> bool:
    """Tell whether the self-test of the day failed: where the lists are old, at times."""
    return day.school.lists_days > 0 and day.number % 9 == 8
