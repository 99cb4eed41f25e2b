"""What the endpoint is told at its start; frozen values, built by config/ and by tests.

Reads no file and no environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from filterd.errors import StartError

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TOKEN_REMEDY = "write the lower-case hex SHA-256 of the token: printf %s TOKEN | sha256sum"  # noqa: S105
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class MonitorLimits:
    """Bounds of everything that could grow; sizes in bytes, times in seconds.

    The largest delivery a box can honestly make fits ``json_bytes`` many times over; what is bigger is
    answered with 413 so that the box sends fewer batches at once.
    """

    body_bytes: int = 8 * MIB  # as it came over the line
    json_bytes: int = 16 * MIB  # after gunzip
    json_values: int = 1_500_000  # commas and braces: bounds the memory that parsing may take
    body_seconds: float = 60.0  # a slow line may take this long for one delivery
    deliveries: int = 256  # being read or waiting for the store at once; more get 503
    held_bytes: int = 128 * MIB  # of all those together
    connections: int = 2048  # open at once; more are closed at once
    idle_seconds: float = 75.0  # a connection without a request
    store_seconds: float = 30.0  # waiting for the turn to write; then 503
    group_rows: int = 20_000  # of deliveries that are stored in one transaction
    busy_seconds: float = 5.0  # the database's own wait for a lock another program holds
    failover_seconds: float = 20.0  # PostgreSQL: a write is tried again for so long when that is safe
    pool: int = 16  # PostgreSQL: connections of this monitor at most
    streams_per_box: int = 64  # outbox files remembered of a box, latest used
    gaps_per_stream: int = 1000  # missing ranges remembered of one outbox
    groups: int = 64  # label values of one school in /metrics; the rest is "other"
    tiers: int = 16
    categories: int = 128
    skew_seconds: int = 86_400  # an event this far in the future is counted as a wrong clock
    silent_seconds: int = 900  # a box that says nothing for so long is shown as down, its gauges hidden
    page: int = 500  # events of one page of GET /v1/events


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """The endpoint's settings.

    Args:
        listen: addresses to listen on, host and port; port 0 takes a free one.
        database: SQLAlchemy URL, ``sqlite:///PATH`` (driver aiosqlite).
        boxes: box id -> (school id, lower-case hex SHA-256 of its token).
        admin_token_sha256: the same of the admin's token; ``None``: no admin by token.
        metrics_token_sha256: when set, ``/metrics`` wants this token (or an admin).
        local_admin: a caller on this machine is an admin (see auth.py).
        limits: bounds.
        retention_days_events: events are kept for so many calendar days, never longer (school.md, retention).
        retention_days_usage: aggregates, paperwork and audit are kept for at least so many days.
        retention_months_summaries: pseudonymous summaries are kept for so many calendar months, the running
            one among them: a term and the time its reports need.
        zone: the time zone in which days and months begin.
        hidden_categories: categories whose names are never displayed (R1).

    Raises:
        StartError: a hash that is none, a token used twice, an empty ``listen``, an unknown zone.
    """

    listen: tuple[tuple[str, int], ...]
    database: str
    boxes: Mapping[str, tuple[str, str]]
    admin_token_sha256: str | None = None
    metrics_token_sha256: str | None = None
    local_admin: bool = False
    limits: MonitorLimits = field(default_factory=MonitorLimits)
    retention_days_events: int = 30
    retention_days_usage: int = 3 * 365
    retention_months_summaries: int = 4
    zone: str = "Asia/Almaty"
    hidden_categories: frozenset[str] = frozenset({"csam", "extremism"})

    def __post_init__(self) -> None:
        if not self.listen:
            raise StartError("the monitor has no address to listen on", remedy="set monitor.listen")
        _ = self.days_in
        owner: dict[str, str] = {}
        for box, (_school, digest) in self.boxes.items():
            _check_digest(digest, f"token of box {box}")
            if digest in owner:
                raise StartError(
                    f"boxes {owner[digest]} and {box} have the same token",
                    remedy="give each box its own token",
                )
            owner[digest] = box
        for token in (self.admin_token_sha256, self.metrics_token_sha256):
            if token is not None:
                _check_digest(token, "admin or metrics token")
                if token in owner:
                    raise StartError(
                        f"box {owner[token]} has the admin's or metrics' token",
                        remedy="make another token",
                    )

    @property
    def days_in(self) -> ZoneInfo:
        """The zone as an object.

        Raises:
            StartError: there is no such zone.
        """
        try:
            return ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise StartError(
                f"there is no time zone {self.zone!r}", remedy="write one as Asia/Almaty or Asia/Oral"
            ) from error

    @property
    def schools(self) -> frozenset[str]:
        """The schools whose boxes may post."""
        return frozenset(school for school, _digest in self.boxes.values())


def _check_digest(digest: str, what: str) -> None:
    if not _SHA256.fullmatch(digest):
        raise StartError(f"the {what} is not the hash of a token", remedy=_TOKEN_REMEDY)
