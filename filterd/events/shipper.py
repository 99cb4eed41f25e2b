"""Brings what the outboxes hold to the monitoring endpoint, at least once; the endpoint stores it once.

Runs in the supervisor's event loop, never in the DNS process; reads the outbox files that others write.
A batch leaves the outbox when the endpoint says it is stored, or when it alone is refused although the
endpoint takes others. One request is under way at a time. It never ends by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom

import structlog
from pydantic import ValidationError

from filterd.errors import OutboxError
from filterd.events import delivery
from filterd.events.batch import MAX_BATCHES, Health, Receipt, SelfTest
from filterd.events.delivery import Answer, Reply
from filterd.events.endpointclient import EndpointClient
from filterd.events.outboxfile import outbox_files
from filterd.events.outboxreader import Load, OutboxReader, StoredBatch

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ShipperSettings:
    """Where to and how; times in seconds, sizes in bytes.

    Attributes:
        endpoint: URL of the monitoring endpoint, without ``/v1/batches``.
        token: the box's token; shown nowhere.
        box, school: who speaks (`batch.Identifier`).
        outboxes: the folder of the ``*.outbox`` files.
        poll: between two looks at outboxes that are empty or nearly so: what comes meanwhile goes together.
        health_interval: between two reports of health.
        timeout: for one request, answer included.
        backoff_base, backoff_cap: bounds of the wait after failures.
        slow_retry: wait when a person must act (token, address).
        max_batches, max_bytes: of one request; a single batch may be bigger.
        min_bytes: what requests shrink to, by halves, on a line too slow for more (`delivery.Size`).
        gzip_over: bodies above this are packed.
    """

    endpoint: str
    token: str = field(repr=False)
    box: str
    school: str
    outboxes: Path
    poll: float = 0.4
    health_interval: float = 15.0
    timeout: float = 30.0
    backoff_base: float = 0.5
    backoff_cap: float = 60.0
    slow_retry: float = 60.0
    max_batches: int = MAX_BATCHES
    max_bytes: int = 1024 * 1024
    min_bytes: int = 8 * 1024
    gzip_over: int = 1024


@dataclass(slots=True)
class ShipperStats:
    """Counters since the start."""

    batches: int = 0
    failures: int = 0
    rejected: int = 0
    errors: int = 0


class _Later(Exception):
    """Nothing more can be sent now.

    Args:
        answer: why, for the log that is written once a state.
        detail: more of it.
        wait: least seconds to wait.
    """

    def __init__(self, answer: Answer, detail: str, wait: float = 0.0) -> None:
        super().__init__(detail)
        self.answer = answer
        self.detail = detail
        self.wait = wait


class Shipper:
    """Ships every outbox of a folder.

    Args:
        settings: see `ShipperSettings`.
        values: more numbers for each health report, e.g. the supervisor's own; later ones win.
        selftest: the box's latest self-test, for each health report.
        clock: UTC seconds.
        random: source of the jitter.
    """

    def __init__(
        self,
        settings: ShipperSettings,
        *,
        values: Callable[[], Mapping[str, float]] | None = None,
        selftest: Callable[[], SelfTest | None] = lambda: None,
        clock: Callable[[], float] = time.time,
        random: Random | None = None,
    ) -> None:
        self.stats = ShipperStats()
        self._settings = settings
        self._values = values
        self._selftest = selftest
        self._clock = clock
        self._random = random or SystemRandom()
        self._client = EndpointClient(
            settings.endpoint,
            token=settings.token,
            box=settings.box,
            school=settings.school,
            timeout=settings.timeout,
            gzip_over=settings.gzip_over,
            clock=clock,
        )
        self._size = delivery.Size(settings.min_bytes, settings.max_bytes, settings.timeout)
        self._readers: dict[Path, OutboxReader] = {}
        self._unreadable: dict[Path, str] = {}
        self._health_sent: dict[str, float] = {}
        self._failures = 0
        self._full = False  # a request of the last round was: more waits, and need not wait longer
        self._trouble = ""

    async def run(self) -> None:
        """Ship until cancelled."""
        try:
            while True:
                pause = await self._step()
                await asyncio.sleep(pause)
        finally:
            await self.close()

    async def drain(self, seconds: float) -> bool:
        """Ship what waits, for at most so many seconds, then close; return whether nothing is left."""
        try:
            async with asyncio.timeout(seconds):
                while await self._round():
                    pass
        except (TimeoutError, _Later):
            return False
        finally:
            await self.close()
        return not self._unreadable

    async def close(self) -> None:
        """Close files and connections; `run` and `drain` do it themselves and can be called again."""
        readers, self._readers = self._readers, {}
        for reader in readers.values():
            reader.close()
        await self._client.close()

    async def _step(self) -> float:
        """Ship once; return how long to wait."""
        try:
            moved = await self._round()
        except _Later as later:
            return self._pause_after(later)
        except Exception:  # noqa: BLE001 - a mistake in here must not end the shipping
            self.stats.errors += 1
            with suppress(Exception):  # the log may be on a disk that is full
                _log.exception("shipper_error")
            return self._pause_after(_Later(Answer.LATER, "unexpected error"))
        return 0.0 if moved and self._full else self._settings.poll

    def _pause_after(self, later: _Later) -> float:
        self._failures += 1
        self.stats.failures += 1
        if later.answer.value != self._trouble:  # said once, until it changes or ends
            self._trouble = later.answer.value
            with suppress(Exception):
                _log.warning(
                    "delivery_delayed", kind=self._trouble, detail=later.detail, url=self._client.url
                )
        settings = self._settings
        pause = delivery.backoff(
            self._failures, base=settings.backoff_base, cap=settings.backoff_cap, random=self._random
        )
        return later.wait + pause

    async def _round(self) -> bool:
        """Send one request's worth of each outbox; return whether any batch got away."""
        moved = self._full = False
        files = await asyncio.to_thread(outbox_files, self._settings.outboxes)
        for path in self._readers.keys() - files:
            self._readers.pop(path).close()
            self._unreadable.pop(path, None)
        for path in files:
            reader = self._readers.setdefault(path, OutboxReader(path))
            try:
                moved |= await self._ship(reader)
            except OutboxError as error:
                self._note_unreadable(path, error)
            else:
                self._unreadable.pop(path, None)
        return moved

    def _note_unreadable(self, path: Path, error: OutboxError) -> None:
        # The writer repairs its file; a lock passes; the other outboxes go on.
        if self._unreadable.get(path) != type(error).__name__:
            self._unreadable[path] = type(error).__name__
            _log.warning("outbox_unreadable", path=str(path), error=str(error))

    async def _ship(self, reader: OutboxReader) -> bool:
        settings = self._settings
        load = await asyncio.to_thread(
            reader.load, max_batches=settings.max_batches, max_bytes=self._size.bytes
        )
        health = self._due_health(load)
        if not load.batches and health is None:
            return False
        self._full |= _is_full(load, settings.max_batches, settings.max_bytes)
        await self._deliver(reader, load.stream, load.batches, health)
        if health is not None:
            self._health_sent[load.stream] = time.monotonic()
        return bool(load.batches)

    def _due_health(self, load: Load) -> Health | None:
        last = self._health_sent.get(load.stream)
        due = last is None or time.monotonic() - last >= self._settings.health_interval
        if load.health is None or not due:
            return None
        values = {"deliveries_failed": float(self.stats.failures), **(self._values() if self._values else {})}
        found = {"values": {**load.health.values, **values}, "selftest": self._selftest()}
        return load.health.model_copy(update=found)

    async def _deliver(
        self, reader: OutboxReader, stream: str, batches: Sequence[StoredBatch], health: Health | None
    ) -> None:
        """Send batches; when it returns, each is stored at the endpoint, put apart, or was left out by it.

        Raises:
            _Later: some are still to be sent.
            OutboxError: the outbox cannot be changed; they will be sent again.
        """
        began = time.monotonic()
        reply = await self._client.post(stream, batches, health)
        sent = sum(len(batch.payload) for batch in batches)
        self._size.learn(time.monotonic() - began, sent, answered=reply.status != 0)
        if reply.answer is Answer.STORED:
            await self._settle(reader, stream, batches, reply)
        elif reply.answer is not Answer.BAD_CONTENT:
            raise self._later(reply)
        elif health is not None:
            _log.warning("delivery_refused_with_health", detail=reply.detail)
            if batches:
                await self._deliver(reader, stream, batches, None)
        elif len(batches) > 1:
            for part in delivery.divide(batches, reply.body):
                await self._deliver(reader, stream, part, None)
        else:
            await self._put_apart(reader, stream, batches, reply)

    async def _settle(
        self, reader: OutboxReader, stream: str, batches: Sequence[StoredBatch], reply: Reply
    ) -> None:
        try:
            receipt = Receipt.model_validate_json(reply.body)
        except ValidationError as error:
            raise _Later(Answer.WRONG_PLACE, "the answer is no receipt", self._settings.slow_retry) from error
        stored = {batch.sequence for batch in batches} & set(receipt.acknowledged)
        await asyncio.to_thread(reader.acknowledge, stream, stored)
        self.stats.batches += len(stored)
        if batches and not stored:
            raise _Later(Answer.LATER, "the endpoint stored none of the batches")
        self._failures = 0
        if self._trouble:
            self._trouble = ""
            _log.info("delivery_works_again", url=self._client.url)

    async def _put_apart(
        self, reader: OutboxReader, stream: str, batches: Sequence[StoredBatch], reply: Reply
    ) -> None:
        # A batch is at fault only when the endpoint takes a delivery without it: an endpoint of another
        # version, or a proxy that answers 400 to everything, must not make us throw away what we have.
        probe = await self._client.post(stream, (), None)
        if probe.answer is not Answer.STORED:
            raise self._later(probe)
        (batch,) = batches
        reason = reply.detail
        await asyncio.to_thread(reader.reject, stream, batch.sequence, reason, now=int(self._clock()))
        self.stats.rejected += 1
        _log.error("batch_rejected", stream=stream, sequence=batch.sequence, reason=reason)

    def _later(self, reply: Reply) -> _Later:
        person = reply.answer in {Answer.NOT_ALLOWED, Answer.WRONG_PLACE, Answer.BAD_CONTENT}
        wait = self._settings.slow_retry if person else 0.0
        return _Later(reply.answer, reply.detail, max(wait, reply.retry_after))


def _is_full(load: Load, max_batches: int, max_bytes: int) -> bool:
    """Tell whether a request is as large as it may be, or nearly: the next batch may not have fitted."""
    return len(load.batches) >= max_batches or 2 * sum(len(one.payload) for one in load.batches) >= max_bytes
