"""Tells the configured receiver what waits in the queue (R17), again and again until it answers.

At least once: a notice goes when the receiver has said 2xx; its id tells a repeated one. Follows no redirect,
reads no answer beyond its status, and asks no other address than the configured one.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import aiohttp
import structlog
from sqlalchemy import Row

from filterd.errors import StoreError
from filterd.monitor.casework import notices
from filterd.monitor.metrics.meter import Meter
from filterd.monitor.settings import WebhookSettings
from filterd.monitor.store.store import Clock, Store

_TIMEOUT = 10.0
_CLAIM = 60
_jitter = random.SystemRandom()
_log = structlog.get_logger(__name__)


class Webhook:
    """The sender.

    Args:
        store: with the queue.
        settings: where to, and how patiently.
        meter: counts what became of each try.
        clock: UTC seconds.
    """

    def __init__(self, store: Store, settings: WebhookSettings, meter: Meter, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._meter = meter
        self._clock = clock

    async def run(self) -> None:
        """Tell what is due, now and every few seconds, until cancelled."""
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            while True:
                try:
                    await self.tell_due(session)
                except StoreError as error:
                    _log.error("webhook_queue_failed", error=error.message)
                await asyncio.sleep(self._settings.every)

    async def tell_due(self, session: aiohttp.ClientSession) -> None:
        """Try each notice that is due once.

        Raises:
            StoreError: the queue cannot be read or written.
        """
        now = int(self._clock())
        for notice in await self._store.read(lambda c: notices.due(c, now)):
            if await self._claimed(notice, now + _CLAIM):
                await self._tell(session, notice)

    async def _claimed(self, notice: Row[Any], until: int) -> bool:
        return await self._store.write(lambda c: notices.claim(c, notice, until))

    async def _tell(self, session: aiohttp.ClientSession, notice: Row[Any]) -> None:
        fault = await self._post(session, notice)
        now = int(self._clock())
        if not fault:
            await self._store.write(lambda c: notices.forget(c, notice))
            self._meter.notices.labels("told").inc()
        elif now - notice.created >= self._settings.give_up:
            await self._store.write(lambda c: notices.forget(c, notice))
            self._meter.notices.labels("dropped").inc()
            _log.error("webhook_given_up", id=notice.id, attempts=notice.attempts + 1, fault=fault)
        else:
            wait = min(self._settings.longest_wait, self._settings.first_wait * 2 ** min(notice.attempts, 30))
            until = now + max(1, round(wait * _jitter.uniform(0.75, 1.25)))
            await self._store.write(lambda c: notices.postpone(c, notice, until))
            self._meter.notices.labels("failed").inc()
            _log.warning("webhook_failed", id=notice.id, attempts=notice.attempts + 1, fault=fault)

    async def _post(self, session: aiohttp.ClientSession, notice: Row[Any]) -> str:
        """Post a notice; return what went wrong, ``""`` for nothing."""
        body, timestamp = notices.body_of(notice), int(self._clock())
        headers = {
            "Content-Type": "application/json",
            notices.TIMESTAMP: str(timestamp),
            notices.SIGNATURE: notices.signature(self._settings.secret, timestamp, body),
        }
        try:
            async with session.post(
                self._settings.url, data=body, headers=headers, allow_redirects=False
            ) as reply:
                return "" if 200 <= reply.status < 300 else f"status {reply.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return type(error).__name__
