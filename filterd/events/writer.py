"""The thread that brings what the DNS path recorded onto the disk, ten times a second.

It never dies and never makes the DNS loop wait: when the outbox cannot be written, events gather here,
collapsed and bounded, and every lookup that finds no room is counted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import structlog

from filterd.errors import OutboxError
from filterd.events import collapse
from filterd.events.batch import BUCKET_SECONDS, HOUR_SECONDS, Health
from filterd.events.hints import Hints
from filterd.events.outbox import Outbox, Waiting
from filterd.events.outboxrows import UsageKey
from filterd.events.recorder import Lookup, Recorder
from filterd.events.registrable import spoken

STEPS = HOUR_SECONDS // BUCKET_SECONDS
_MAX_HOURS = 1000  # more than a month that wait for a disk that is full
_MAX_COMMIT = 5000  # events a commit: keeps the time that the disk and the GIL are held short

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WriterSettings:
    """Times in seconds, bounds in entries.

    Attributes:
        interval: between two looks at the recorder; an event is durable about this long after its first
            lookup. Repetitions of it, which only raise its count, follow every `slow_interval`.
        slow_interval: between two takes of usage counts and of health.
        retry: after a commit that failed.
        max_events: events (collapsed) that may wait in memory while the outbox cannot be written.
        max_usage: usage counts (hour x key) that may wait likewise.
    """

    interval: float = 0.1
    slow_interval: float = 5.0
    retry: float = 1.0
    max_events: int = 20_000
    max_usage: int = 20_000


class Writer:
    """Takes, collapses, commits.

    Args:
        recorder: what the DNS loop fills.
        outbox: used by this thread only, from `start` on.
        pseudonyms: `(address, mac, at) -> pseudonym`; called on this thread only.
        after: called on this thread every `slow_interval`, for what else has to be brought to a disk.
        health: called on this thread every `slow_interval`; must be quick and safe to call there.
        hints: used by this thread only.
        serving: called on this thread every `slow_interval`: whether lookups are answered and filtered now.
        settings: see `WriterSettings`.
        clock: UTC seconds.

    Attributes:
        committed: blocked lookups that are on the disk; of lookups that are all different, all before the
            n-th recorded one are among the first n, unless some were dropped.
        commits: commits of events that succeeded.
        dropped: lookups that found no room here.
        dropped_usage: counted lookups that found no room here.
        discarded: lookups that cannot be an event (not blocked, ids that are none, an error in our code).
        failures: commits that failed and were or will be tried again.
        errors: unexpected errors, each one logged.
    """

    def __init__(
        self,
        recorder: Recorder,
        outbox: Outbox,
        pseudonyms: Callable[[bytes, bytes | None, int], str],
        *,
        health: Callable[[], Health] | None = None,
        hints: Hints | None = None,
        serving: Callable[[], bool] | None = None,
        after: Callable[[int], None] = lambda _now: None,
        settings: WriterSettings | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.committed = self.commits = self.dropped = self.dropped_usage = 0
        self.discarded = self.failures = self.errors = 0
        self._recorder = recorder
        self._outbox = outbox
        self._pseudonyms = pseudonyms
        self._health = health
        self._hints = Hints() if hints is None else hints  # an empty one is false
        self._serving = serving
        self._after = after
        self._alive: dict[int, int] = {}  # hour -> steps that are not committed yet
        self._step = -1
        self._settings = settings or WriterSettings()
        self._clock = clock
        self._events: dict[collapse.EventKey, int] = {}
        self._repeats: dict[collapse.EventKey, int] = {}
        self._known: set[collapse.EventKey] = set()  # events of this bucket that were told already
        self._bucket = 0
        self._usage: dict[UsageKey, int] = {}
        self._file_counters: dict[str, int] = {}
        self._waiting = Waiting()
        self._slow_at = 0.0
        self._retry_at = 0.0
        self._trouble = ""
        self._stopping = threading.Event()
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._run, name="filterd-events", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, *, drain: bool = True, timeout: float = 5.0) -> bool:
        """End the thread; with `drain`, first commit what is recorded, trying for `timeout` seconds.

        Returns:
            Whether nothing recorded is left behind.
        """
        self._deadline = time.monotonic() + timeout if drain else 0.0
        self._stopping.set()
        self._thread.join(timeout + 1.0)
        return not (
            self._thread.is_alive()
            or len(self._recorder)
            or self._events
            or self._repeats
            or self._usage
            or self._alive
        )

    def counters(self) -> dict[str, float]:
        """Return counters and the outbox's gauges under the names that `Health.values` gives them.

        The gauges and what the file has dropped are as old as the last slow look. From any thread.
        """
        file, waiting = self._file_counters, self._waiting
        lost = self.dropped + self.discarded + self._recorder.dropped
        lost_usage = self.dropped_usage + self._recorder.dropped_counts
        lookups, blocked = self._recorder.totals()
        return {
            "lookups": lookups,
            "lookups_blocked": blocked,
            "events_committed": self.committed,
            "outbox_batches": waiting.batches,
            "outbox_bytes": waiting.bytes,
            "outbox_oldest": waiting.oldest,
            "outbox_dropped_events": lost + file.get("dropped_lookups", 0) + file.get("rejected_lookups", 0),
            "outbox_dropped_usage": lost_usage + file.get("dropped_usage", 0),
            "outbox_failures": self.failures,
            "outbox_corrupt_files": self._outbox.corrupt_files,
            "writer_errors": self.errors,
        }

    def _run(self) -> None:
        while not self._stopping.wait(self._settings.interval):
            self._guarded()
        while time.monotonic() < self._deadline:
            self._slow_at = self._retry_at = 0.0
            self._guarded()
            if not (self._events or self._usage or self._alive or len(self._recorder)):
                break
            time.sleep(self._settings.interval)
        self._outbox.close()

    def _guarded(self) -> None:
        try:
            self._tick()
        except Exception:  # noqa: BLE001 - the thread outlives any mistake in it
            self.errors += 1
            self._retry_at = time.monotonic() + self._settings.retry
            with suppress(Exception):  # the log may be on the very disk that is full
                _log.exception("writer_error")

    def _tick(self) -> None:
        now = int(self._clock())
        slow = time.monotonic() >= self._slow_at
        self._take(now)
        if slow:
            self._slow_at = time.monotonic() + self._settings.slow_interval
            self._take_repeats()
            self._take_counts(now)
            self._mark_alive(now)
            self._after(now)
            self._look_at_outbox()
        while (slow or self._events or self._usage or self._alive) and time.monotonic() >= self._retry_at:
            self._commit(now, self._ask_health() if slow else None)
            slow = False

    def _take(self, now: int) -> None:
        lookups = self._recorder.take()
        if not lookups:
            return
        try:
            self._collapse(lookups, now)
        except Exception:  # noqa: BLE001 - one lookup must not take the others with it
            self.errors += 1
            _log.exception("collapse_error")
            for lookup in lookups:
                try:
                    self._collapse([lookup], now)
                except Exception:  # noqa: BLE001 - logged above, once for all of them
                    self.discarded += 1

    def _collapse(self, lookups: list[Lookup], now: int) -> None:
        counts = collapse.collapse(
            lookups, at=now, pseudonym=self._pseudonyms, spoken=spoken, hints=self._hints
        )
        self.discarded += len(lookups) - sum(counts.values())
        self._turn(now - now % BUCKET_SECONDS)
        new = {key: times for key, times in counts.items() if key not in self._known}
        self._known.update(new)
        limit = self._settings.max_events
        self.dropped += collapse.add(self._events, new, limit=limit)
        again = {key: times for key, times in counts.items() if key not in new}
        self.dropped += collapse.add(self._repeats, again, limit=limit)

    def _turn(self, bucket: int) -> None:
        """Begin a new bucket, or forget what was told when there is too much of it to remember."""
        if bucket != self._bucket or len(self._known) > self._settings.max_events:
            self._bucket = bucket
            self._known.clear()

    def _take_repeats(self) -> None:
        # A device that asks for a blocked name ten times a second is one event: told at once, counted later.
        # Without this the same few names would fill the outbox, the line and the store all day.
        self.dropped += collapse.add(self._events, self._repeats, limit=self._settings.max_events)
        self._repeats.clear()

    def _take_counts(self, now: int) -> None:
        hour = now - now % HOUR_SECONDS
        for key, queries in self._recorder.take_counts().items():
            place = (hour, *key)
            if place in self._usage or len(self._usage) < self._settings.max_usage:
                self._usage[place] = self._usage.get(place, 0) + queries
            else:
                self.dropped_usage += queries

    def _mark_alive(self, now: int) -> None:
        """Note the 5-minute step as one in which this process filtered, once and at its beginning."""
        step = now // BUCKET_SECONDS
        if step == self._step or self._serving is None or not self._serving():
            return
        self._step = step
        hour = now - now % HOUR_SECONDS
        if hour in self._alive or len(self._alive) < _MAX_HOURS:
            self._alive[hour] = self._alive.get(hour, 0) | 1 << step % STEPS

    def _ask_health(self) -> Health | None:
        if self._health is None:
            return None
        try:
            return self._health()
        except Exception:  # noqa: BLE001 - a box whose health is unknown still has events to keep
            self.errors += 1
            _log.exception("health_error")
            return None

    def _look_at_outbox(self) -> None:
        try:
            self._waiting = self._outbox.waiting()
            self._file_counters = self._outbox.counters()
        except OutboxError:
            pass  # the commit that follows meets the same trouble, and tells

    def _commit(self, now: int, health: Health | None) -> None:
        part = dict(islice(self._events.items(), _MAX_COMMIT))
        events, refused = collapse.to_events(part)
        try:
            self._outbox.commit(events, self._usage, health, alive=self._alive, now=now)
        except OutboxError as error:
            self.failures += 1
            self._retry_at = time.monotonic() + self._settings.retry
            if type(error).__name__ != self._trouble:  # said once, not ten times a second
                self._trouble = type(error).__name__
                _log.error("outbox_trouble", kind=self._trouble, error=str(error))
            return
        # First the books, then the log: a log that fails must not lead to committing twice.
        for key in part:
            del self._events[key]
        self._usage.clear()
        self._alive.clear()
        self.commits += bool(events)
        self.discarded += refused
        self.committed += sum(event.count for event in events)
        if self._trouble:
            self._trouble = ""
            _log.info("outbox_works_again", dropped=self.dropped, failures=self.failures)
