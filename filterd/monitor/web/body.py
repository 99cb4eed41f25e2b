"""Reading a delivery's body: bounded in size, time and memory taken by all deliveries together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import ClientError, web
from aiohttp.http_exceptions import HttpProcessingError

from filterd.monitor.ingest import decode
from filterd.monitor.metrics.meter import Meter
from filterd.monitor.problems import Problem, overloaded
from filterd.monitor.settings import MonitorLimits


class Held:
    """The memory one delivery takes, given back when it is done."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.size = 0

    def grow(self, size: int) -> None:
        """Take ``size`` more bytes.

        Raises:
            Problem: 503 when all deliveries together would take too much.
        """
        self._budget.take(size)
        self.size += size


class Budget:
    """How many deliveries are in hand, and how much memory they take."""

    def __init__(self, limits: MonitorLimits, meter: Meter) -> None:
        self._limits = limits
        self._meter = meter
        self._deliveries = 0
        self._bytes = 0

    @contextmanager
    def delivery(self) -> Iterator[Held]:
        """Admit one delivery.

        Raises:
            Problem: 503 when too many are in hand.
        """
        if self._deliveries >= self._limits.deliveries:
            raise overloaded("too many deliveries at once")
        self._deliveries += 1
        held = Held(self)
        try:
            yield held
        finally:
            self._deliveries -= 1
            self.take(-held.size)

    def take(self, size: int) -> None:
        """Account for ``size`` bytes more (or less, when negative).

        Raises:
            Problem: 503 over the bound.
        """
        if size > 0 and self._bytes + size > self._limits.held_bytes:
            raise overloaded("too many bytes of deliveries at once")
        self._bytes += size
        self._meter.held.set(self._bytes)


async def read_text(request: web.Request, held: Held, limits: MonitorLimits) -> bytes:
    """Return the unpacked JSON text of a delivery.

    Raises:
        Problem: 400 not gzip, 408 too slow or cut off, 413 too large, 415 not JSON, 503 no memory left.
    """
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    decode.check_headers(request.content_type.lower() if "Content-Type" in request.headers else "", encoding)
    if (request.content_length or 0) > limits.body_bytes:
        raise decode.too_large(f"the body is over {limits.body_bytes} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.content.iter_any():
                held.grow(len(chunk))
                body += chunk
                if len(body) > limits.body_bytes:
                    raise decode.too_large(f"the body is over {limits.body_bytes} bytes")
    except TimeoutError:
        raise Problem(
            408,
            "too-slow",
            f"the body did not come within {limits.body_seconds:g} seconds",
            remedy="send fewer batches at once",
            headers={"Connection": "close"},
        ) from None
    except (ClientError, HttpProcessingError, ConnectionError, web.RequestPayloadError):
        raise Problem(408, "cut", "the body ended before its end", remedy="send it again") from None
    text = decode.unpack(bytes(body), encoding, limits)
    held.grow(len(text))
    return text
