"""A real HTTPS server for the tests of fetching: an authority of its own, pages, every fault of a source.

It runs in a thread with its own loop: coroutines of a test and commands in other processes can ask it.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import ipaddress
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import format_datetime
from pathlib import Path
from typing import Self

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOSTS = ("lists.test", "mirror.test", "region.test")
_DAY = dt.timedelta(days=1)


class Authority:
    """A certificate authority of a test.

    Args:
        folder: where its certificates are written.
    """

    def __init__(self, folder: Path, name: str = "authority of a test") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        own = self._builder(self._name, self._key).add_extension(
            x509.BasicConstraints(True, None), critical=True
        )
        own = own.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
        )
        own = own.add_extension(_usage(sign_certificates=True), critical=True)
        self.file = folder / f"{name.replace(' ', '-')}.pem"
        self.file.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def server_context(self, *hosts: str, days: int = 30) -> ssl.SSLContext:
        """Return a server's context with a certificate for some hosts; negative days: it is over."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server")])
        builder = self._builder(name, key, days)
        names = [x509.DNSName(host) for host in hosts] + [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(authority, critical=False)
        path = self._folder / f"server-{key.public_key().public_numbers().x % 10**9}.pem"
        encoding = serialization.Encoding.PEM
        secret = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(encoding) + secret)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Return the context of a client that trusts this authority alone."""
        return ssl.create_default_context(cafile=self.file)

    def _builder(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, days: int = 30
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 60 * _DAY)
            .not_valid_after(now + days * _DAY)
        )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=sign_certificates, crl_sign=sign_certificates, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip


@dataclass
class Page:
    """What stands at an address, and how it is served.

    Args:
        content: the bytes.
        headers: of the answer; they replace what the server would write.
        status: of the answer.
        cut: close the connection after so many bytes of an answer.
        drip: seconds to wait before each block of 100 bytes.
        chunked: without saying how long it is.
        names_itself: with ETag and Last-Modified; False: the server does not know conditional requests.
        strong: whether the ETag is a strong one.
    """

    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    cut: int | None = None
    drip: float = 0.0
    chunked: bool = False
    names_itself: bool = True
    strong: bool = True
    modified: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC) - _DAY)

    @property
    def etag(self) -> str:
        tag = f'"{hashlib.sha256(self.content).hexdigest()[:16]}"'
        return tag if self.strong else f"W/{tag}"


class Server:
    """Serves pages until the end of its context.

    Args:
        context: with its certificate.
        every: called for each request, before it is answered.
    """

    def __init__(
        self, context: ssl.SSLContext, every: Callable[[web.Request], None] = lambda _r: None
    ) -> None:
        self.pages: dict[str, Page] = {}
        self.counts: Counter[str] = Counter()  # by path, by status, "bytes"
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.port = 0
        self._context = context
        self._every = every
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._ready = threading.Event()
        self._stop = asyncio.Event()

    def url(self, path: str, host: str = "lists.test") -> str:
        return f"https://{host}:{self.port}{path}"

    def put(self, path: str, content: bytes | str = b"", **more) -> Page:
        """Let a page stand at a path."""
        page = self.pages[path] = Page(content.encode() if isinstance(content, str) else content, **more)
        return page

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._context)
        await site.start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self._every(request)
        self.counts[request.path] += 1
        self.requests.append((request.path, dict(request.headers)))
        page = self.pages.get(request.path)
        if page is None:
            return self._plain(404)
        if page.status != 200:
            return self._plain(page.status, page.headers)
        headers = dict(page.headers)
        if page.names_itself:
            headers.setdefault("ETag", page.etag)
            headers.setdefault("Last-Modified", format_datetime(page.modified, usegmt=True))
            if _matches(request, page):
                return self._plain(304, {"ETag": headers["ETag"]})
        start = _start(request, page) if page.names_itself else 0
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(page.content) - 1}/{len(page.content)}"
        response = web.StreamResponse(status=206 if start else 200, headers=headers)
        with contextlib.suppress(ConnectionError):  # who asked has heard enough
            await self._send(request, page, start, response)
        return response

    def _plain(self, status: int, headers: dict[str, str] | None = None) -> web.Response:
        self.counts[str(status)] += 1
        return web.Response(status=status, headers=headers or {})

    async def _send(self, request: web.Request, page: Page, start: int, response: web.StreamResponse) -> None:
        self.counts[str(response.status)] += 1
        body = page.content[start:]
        if page.chunked:
            response.enable_chunked_encoding()
        else:
            response.content_length = len(body)
        await response.prepare(request)
        step = 100 if page.drip else 1 << 16
        sent = 0
        while sent < len(body):
            if page.cut is not None and sent + step > page.cut:
                await response.write(body[sent : page.cut])
                self.counts["bytes"] += page.cut - sent
                await asyncio.sleep(0.05)  # what was written goes out before the connection ends
                assert request.transport is not None
                request.transport.abort()
                return
            await asyncio.sleep(page.drip)
            await response.write(body[sent : sent + step])
            self.counts["bytes"] += len(body[sent : sent + step])
            sent += step


def _matches(request: web.Request, page: Page) -> bool:
    """RFC 9110 section 13.2.2: If-None-Match counts, If-Modified-Since only without it."""
    if "If-None-Match" in request.headers:
        plain = page.etag.removeprefix("W/")
        return plain in [
            one.strip().removeprefix("W/") for one in request.headers["If-None-Match"].split(",")
        ]
    since = request.if_modified_since
    return since is not None and page.modified.replace(microsecond=0) <= since


def _start(request: web.Request, page: Page) -> int:
    """RFC 9110 section 14: where the rest that is asked for begins; 0: everything is sent."""
    wanted = request.headers.get("Range", "")
    if not wanted.startswith("bytes=") or request.headers.get("If-Range") != page.etag:
        return 0
    return int(wanted.removeprefix("bytes=").removesuffix("-"))
