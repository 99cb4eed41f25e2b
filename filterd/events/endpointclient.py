"""One request to the monitoring endpoint: HTTP and nothing else.

Every way in which a request can fail becomes a `Reply`. Never retries, never follows a redirect (the token is
for this endpoint only), never logs the token.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Sequence

import aiohttp

from filterd.events import delivery
from filterd.events.batch import Health
from filterd.events.delivery import Reply
from filterd.events.outboxreader import StoredBatch

_MAX_REPLY = 1024 * 1024
_GZIP_LEVEL = 5


class EndpointClient:
    """Posts deliveries of one box.

    Args:
        endpoint: URL, without ``/v1/batches``.
        token: the box's token.
        box, school: who speaks.
        timeout: seconds for one request, answer included.
        gzip_over: bytes above which a body is packed.
        clock: UTC seconds.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        token: str,
        box: str,
        school: str,
        timeout: float,
        gzip_over: int,
        clock: Callable[[], float],
    ) -> None:
        self.url = f"{endpoint.rstrip('/')}/v1/batches"
        self.requests = 0
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._box = box
        self._school = school
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._gzip_over = gzip_over
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def post(self, stream: str, batches: Sequence[StoredBatch], health: Health | None) -> Reply:
        """Send one delivery; without an answer the reply's status is 0."""
        body = delivery.compose(
            box=self._box, school=self._school, stream=stream, batches=batches, health=health
        )
        headers = self._headers
        if len(body) > self._gzip_over:
            body = await asyncio.to_thread(gzip.compress, body, _GZIP_LEVEL, mtime=0)
            headers = {**headers, "Content-Encoding": "gzip"}
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        self.requests += 1
        try:
            async with self._session.post(
                self.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                return await self._reply(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Reply(0, note=f"{type(error).__name__}: {error}")

    async def _reply(self, response: aiohttp.ClientResponse) -> Reply:
        parts = []
        size = 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > _MAX_REPLY:
                return Reply(0, note="the answer is too long")
            parts.append(part)
        wait = delivery.retry_after(response.headers.get("Retry-After"), self._clock())
        return Reply(response.status, b"".join(parts), wait)

    async def close(self) -> None:
        """Close the connections; the next post opens them again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
