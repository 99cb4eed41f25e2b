"""Many simulated boxes that deliver to one endpoint at a steady rate, in a process of their own.

Open loop: a delivery is due at its time whether or not the endpoint keeps up, and its latency counts from
then. Started by ingest.py with a JSON plan as its argument; prints one JSON line with what came of it.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import random
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import aiohttp

_GZIP_LEVEL = 5  # as filterd's own shipper
_COMMIT_SECONDS = 0.1  # a box commits what was blocked ten times a second: each commit is a batch
_MAX_BATCHES = 64
_HEALTH_SECONDS = 15.0
_TIERS = ("primary", "middle", "senior")
_CATEGORIES = ("ads", "games", "social", "video", "malware", "gambling", "porn", "vpn")
_WEIGHTS = (50, 14, 12, 10, 4, 4, 3, 3)
_AGAIN = 0.15  # of the lookups repeat one of the same bucket: only a count grows


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send.

    Attributes:
        url: of the endpoint.
        schools: how many boxes, one a school.
        rate: events a second of all boxes together.
        every: seconds between two deliveries of a box.
        seconds: how long to measure.
        warm: seconds before that, not counted.
        seed: of everything random.
    """

    url: str
    schools: int
    rate: float
    every: float
    seconds: float
    warm: float
    seed: int = 1


def token(number: int) -> str:
    """Return the token of a box."""
    return f"token-of-box-{number}"


def names(number: int) -> tuple[str, str]:
    """Return the box's id and its school's."""
    return f"box-{number:04}", f"school-{number:04}"


class Box:
    """One school's box: its devices, what they look up, and the number of its next batch."""

    def __init__(self, number: int, domains: list[str], seed: int) -> None:
        self.box, self.school = names(number)
        self.token = token(number)
        self._chance = random.Random(f"{seed}-{number}")  # noqa: S311 - repeatable
        self._domains = domains
        devices = [hashlib.sha256(f"{number}-{n}".encode()).digest() for n in range(600)]
        letters = "abcdefghijklmnopqrstuvwxyz234567"
        self._devices = ["".join(letters[byte % 32] for byte in raw[:26]) for raw in devices]
        self._stream = hashlib.sha256(self.box.encode()).hexdigest()[:32]
        self._sequence = 0
        self._started = int(time.time()) - 3600
        self._health_at = self._chance.random() * _HEALTH_SECONDS

    def delivery(self, events: int, seconds: float, elapsed: float) -> bytes:
        """Return the packed body of a delivery.

        Args:
            events: how many, of the seconds that it covers.
            seconds: since the delivery before.
            elapsed: since the run began.
        """
        now = int(time.time())
        count = max(1, min(_MAX_BATCHES, events, int(seconds / _COMMIT_SECONDS)))
        batches: list[dict[str, Any]] = [{"sequence": 0, "events": [], "usage": []} for _ in range(count)]
        last: dict[str, Any] | None = None
        for place in range(events):
            again = last is not None and self._chance.random() < _AGAIN
            last = last if again and last is not None else self._event(now - now % 300)
            batches[place * count // events]["events"].append(last)
        batches[-1]["usage"] = self._usage(now - now % 3600)
        for batch in batches:
            self._sequence += 1
            batch["sequence"] = self._sequence
        value: dict[str, Any] = {
            "box": self.box,
            "school": self.school,
            "stream": self._stream,
            "batches": batches,
        }
        if elapsed >= self._health_at:
            self._health_at += _HEALTH_SECONDS
            value["health"] = self._health(now)
        return gzip.compress(json.dumps(value, separators=(",", ":")).encode(), _GZIP_LEVEL, mtime=0)

    def _event(self, bucket: int) -> dict[str, Any]:
        chance = self._chance
        # A few names are asked for again and again, most seldom.
        domain = self._domains[int(len(self._domains) * chance.random() ** 4)]
        category = chance.choices(_CATEGORIES, _WEIGHTS)[0]
        device = int(len(self._devices) * chance.random() ** 2)
        return {
            "bucket": bucket,
            "group": f"class-{device % 20}",
            "tier": _TIERS[device % 3],
            "pseudonym": self._devices[device],
            "domain": domain,
            "name": f"{chance.choice(('www', 'cdn', 'api', 'track'))}.{domain}",
            "category": category,
            "list": f"ut1-{category}",
            "rule": domain,
            "layer": "baseline",
            "verdict": "block",
            "reason": "category",
            "count": 1 + int(chance.random() ** 3 * 4),
        }

    def _usage(self, hour: int) -> list[dict[str, Any]]:
        groups = self._chance.sample(range(20), 8)
        return [
            {
                "hour": hour,
                "group": f"class-{group}",
                "tier": _TIERS[group % 3],
                "category": "" if outcome == "allowed" else self._chance.choice(_CATEGORIES),
                "outcome": outcome,
                "queries": self._chance.randint(1, 60),
            }
            for group in groups
            for outcome in ("allowed", "blocked")
        ]

    def _health(self, now: int) -> dict[str, Any]:
        values = {"cache_entries": 9000, "outbox_bytes": 65536, "outbox_batches": 12, "clients": 230}
        return {
            "at": now,
            "started": self._started,
            "version": "0.1.0",
            "policy_version": "p1",
            "index_version": "i1",
            "values": values,
        }


@dataclass(slots=True)
class Tally:
    """What came of the deliveries that were due while measuring."""

    latencies: list[float] = field(default_factory=list)
    sent: int = 0
    events: int = 0
    statuses: Counter[str] = field(default_factory=Counter)


async def _drive(box: Box, first: float, plan: Plan, session: aiohttp.ClientSession, tally: Tally) -> None:
    """Send a box's deliveries, each as soon as it is due and the one before is acknowledged."""
    begun = time.perf_counter()
    events = plan.rate / plan.schools * plan.every
    owed = 0.0
    turn = 0
    headers = {
        "Authorization": f"Bearer {box.token}",
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
    }
    while (due := first + turn * plan.every) < plan.warm + plan.seconds:
        await asyncio.sleep(max(0.0, begun + due - time.perf_counter()))
        owed += events
        count = int(owed)
        owed -= count
        body = box.delivery(count, plan.every, due)
        status = await _post(session, plan.url, body, headers)
        turn += 1
        if due >= plan.warm:
            tally.latencies.append(time.perf_counter() - (begun + due))
            tally.sent += len(body)
            tally.statuses[status] += 1
            tally.events += count if status == "200" else 0


async def _post(session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> str:
    try:
        async with session.post(url, data=body, headers=headers) as reply:
            await reply.read()
            return str(reply.status)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return type(error).__name__


async def run(plan: Plan) -> dict[str, Any]:
    """Send everything and return the figures."""
    chance = random.Random(plan.seed)  # noqa: S311 - repeatable
    domains = [f"name-{n}.{chance.choice(('com', 'net', 'ru', 'kz'))}" for n in range(20_000)]
    boxes = [Box(number, domains, plan.seed) for number in range(plan.schools)]
    tally = Tally()
    timeout = aiohttp.ClientTimeout(total=60)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        print(json.dumps({"begun": time.time()}), flush=True)
        begun = time.perf_counter()
        await asyncio.gather(
            *(
                _drive(box, plan.every * place / len(boxes), plan, session, tally)
                for place, box in enumerate(boxes)
            )
        )
        took = time.perf_counter() - begun - plan.warm
    ordered = sorted(tally.latencies)
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": round(took, 2),
        "deliveries": len(ordered),
        "events": tally.events,
        "bytes": tally.sent,
        "statuses": dict(tally.statuses),
        "generator_cpu": round(used.ru_utime + used.ru_stime, 2),
    } | {f"p{part:g}_ms": round(1000 * quantile(ordered, part / 100), 1) for part in (50, 90, 99, 100)}


def quantile(ordered: list[float], part: float) -> float:
    """Return the value below which this part of the ordered values lies; 0 of nothing."""
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(Plan(**json.loads(sys.argv[1]))))), flush=True)
