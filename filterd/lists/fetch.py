"""One file over HTTPS: asked for only if it changed, resumed where it broke off, within bounds.

Every redirect is followed by hand, and each hop must be HTTPS to an address that may be used; nothing is
unpacked on the way. What came stays in the part file, so that the next try goes on from there. Knows nothing
of lists.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import aiohttp
from yarl import URL

from filterd import __version__
from filterd.errors import FetchError
from filterd.lists import partfile
from filterd.lists.resolving import Names

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS: Final = 5
_TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_ENCODINGS: Final = frozenset({"", "identity", "gzip", "x-gzip"})  # kept as they come; archive.py unpacks
_CHUNK: Final = 1 << 16
_GOODBYE: Final = 0.02  # seconds; TLS connections close in the turns of the loop that follow

Progress = Callable[[int, int], object]  # bytes so far, bytes in all (0: not told)


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """Bounds in time and number.

    Attributes:
        parallel: transfers at a time.
        per_host: of these, from one host.
        time: seconds for one file, all tries.
        connect: seconds to connect.
        idle: seconds without a byte.
        tries: requests for one file and address.
        pause: seconds before the second try; doubled for each further one.
    """

    parallel: int = 4
    per_host: int = 2
    time: float = 900.0
    connect: float = 15.0
    idle: float = 30.0
    tries: int = 3
    pause: float = 1.0


@dataclass(frozen=True, slots=True)
class Ask:
    """What to fetch.

    Attributes:
        url: where from.
        part: the file to gather it in; ``part.json`` beside it says what it is.
        max_bytes: the most it may be.
        etag, last_modified: of the copy that is here already; empty: none is.
    """

    url: str
    part: Path
    max_bytes: int
    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True, slots=True)
class Got:
    """What a request brought; unless ``same``, the part file is complete.

    Attributes:
        same: nothing new: the copy that is here is still what the server has.
        etag, last_modified: what the server calls the content.
        received: bytes of content that were transferred now.
        resumed_at: bytes that were here from an earlier try.
    """

    same: bool
    etag: str = ""
    last_modified: str = ""
    received: int = 0
    resumed_at: int = 0


class _Again(Exception):
    """A failure that may pass; the message says what failed."""


class Fetcher:
    """Fetches files; use as an async context.

    Args:
        names: gives the addresses.
        context: which certificates are trusted.
        settings: bounds.
    """

    def __init__(
        self, names: Names, context: ssl.SSLContext | None = None, settings: FetchSettings | None = None
    ) -> None:
        self._names = names
        self._context = context or ssl.create_default_context()
        self._settings = settings or FetchSettings()
        self._slots = asyncio.Semaphore(self._settings.parallel)
        per_host = self._settings.per_host
        self._hosts: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(per_host))
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        settings = self._settings
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=self._names, use_dns_cache=False, ssl=self._context, limit=settings.parallel
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect, sock_read=settings.idle),
            headers={"User-Agent": f"filterd/{__version__}", "Accept-Encoding": "gzip"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # a small answer could otherwise become any size in memory
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(_GOODBYE)

    async def get(self, ask: Ask, progress: Progress = lambda _done, _total: None) -> Got:
        """Fetch a file unless the copy that is here is still the newest.

        Raises:
            FetchError: it did not come; what came of it is kept for the next try.
        """
        settings = self._settings
        trouble = ""
        async with self._hosts[URL(ask.url).host or ""], self._slots:
            try:
                async with asyncio.timeout(settings.time):
                    for attempt in range(settings.tries):
                        if attempt:
                            await asyncio.sleep(settings.pause * 2 ** (attempt - 1))
                        try:
                            return await self._try(ask, progress)
                        except _Again as again:
                            trouble = str(again)
            except TimeoutError:
                trouble = f"took longer than {settings.time:g} s" + (f" ({trouble})" if trouble else "")
            except OSError as error:
                raise FetchError(
                    f"{ask.part} cannot be written: {error.strerror or error}", remedy="check the space left"
                ) from error
        raise FetchError(f"{ask.url}: {trouble}")

    async def _try(self, ask: Ask, progress: Progress) -> Got:
        held = partfile.held(ask.part, ask.url)
        size = ask.part.stat().st_size if held.validator else 0
        headers = _conditions(ask)
        if size:
            headers |= {"Range": f"bytes={size}-", "If-Range": held.validator}
        try:
            response = await self._follow(URL(ask.url), headers)
            async with response:
                return await self._take(ask, response, size, progress)
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise FetchError(
                f"{ask.url}: the certificate or connection is not to be trusted: {error}"
            ) from error
        except aiohttp.InvalidURL as error:
            raise FetchError(f"{ask.url}: not an address to fetch from: {error}") from error
        except (aiohttp.ClientError, aiohttp.ServerTimeoutError) as error:
            raise _Again(f"{type(error).__name__}: {error}") from error

    async def _follow(self, url: URL, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """Return the answer after all redirects, each hop checked."""
        for _ in range(_MAX_REDIRECTS + 1):
            if url.scheme != "https" or not url.host or url.user or url.password:
                raise FetchError(f"{url} is not an HTTPS address without a password")
            await self._names.pin(url.host)
            if self._session is None:
                raise FetchError("the fetcher is closed")
            response = await self._session.get(url, headers=headers, allow_redirects=False)
            if response.status not in _REDIRECTS:
                return response
            location = response.headers.get("Location", "")
            response.close()
            try:
                url = url.join(URL(location))
            except ValueError as error:
                raise FetchError(f"{url} leads to {location!r}, which is no address") from error
        raise FetchError(f"more than {_MAX_REDIRECTS} redirects, the last to {url}")

    async def _take(self, ask: Ask, response: aiohttp.ClientResponse, size: int, progress: Progress) -> Got:
        etag = response.headers.get("ETag", "")[:200]
        last_modified = response.headers.get("Last-Modified", "")[:200]
        if response.status == 304:
            partfile.discard(ask.part)
            return Got(same=True, etag=etag, last_modified=last_modified)
        if response.status == 416 and size:
            partfile.discard(ask.part)
            raise _Again("the server has less than what came before")
        if response.status in _TRANSIENT:
            raise _Again(f"the server answered {response.status} {response.reason}")
        if response.status not in {200, 206} or (response.status == 206 and not size):
            raise FetchError(f"{ask.url}: the server answered {response.status} {response.reason}")
        if response.headers.get("Content-Encoding", "").strip().lower() not in _ENCODINGS:
            raise FetchError(f"{ask.url}: the server packed it in a way that was not asked for")
        resumed = size if response.status == 206 else 0
        if response.status == 206 and not response.headers.get("Content-Range", "").startswith(
            f"bytes {size}-"
        ):
            partfile.discard(ask.part)
            raise _Again("the server sent another part than was asked for")
        if not resumed:
            date = response.headers.get("Date", "")
            partfile.begin(ask.part, ask.url, etag=etag, last_modified=last_modified, date=date)
        received = await _gather(ask, response, resumed, progress)
        return Got(False, etag, last_modified, received, resumed)


async def _gather(ask: Ask, response: aiohttp.ClientResponse, resumed: int, progress: Progress) -> int:
    """Write what comes to the part file; return how many bytes came."""
    total = resumed + (response.content_length or 0)
    if total > ask.max_bytes:
        partfile.discard(ask.part)
        raise _too_large(ask)
    received = 0
    with ask.part.open("ab" if resumed else "wb") as file:
        async for block in response.content.iter_chunked(_CHUNK):
            received += len(block)
            if resumed + received > ask.max_bytes:
                break
            file.write(block)
            progress(resumed + received, total)
    if resumed + received > ask.max_bytes:
        partfile.discard(ask.part)
        raise _too_large(ask)
    return received


def _too_large(ask: Ask) -> FetchError:
    return FetchError(f"{ask.url}: more than {ask.max_bytes} bytes")


def _conditions(ask: Ask) -> dict[str, str]:
    headers = {}
    if ask.etag:
        headers["If-None-Match"] = ask.etag
    if ask.last_modified:
        headers["If-Modified-Since"] = ask.last_modified
    return headers
