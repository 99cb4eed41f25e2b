from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from filterd.errors import StartError
from filterd.monitor.access.tls import server_context
from filterd.monitor.settings import TlsSettings

OF_BOX1, OF_BOX2 = "token of box one", "token of box two"


class Authority:
    """A certificate authority that writes PEM files."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._begin(self._name, self._key, days=30).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.certificate = folder / f"{name}.pem"
        self.certificate.write_bytes(self._sign(builder))

    def issue(self, *names: str, days: float = 30) -> tuple[Path, Path]:
        """Return the files of a certificate whose subject has these common names, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
        builder = self._begin(subject, key, days=days).add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        stem = self._folder / f"{self.certificate.stem}-{'+'.join(names) or 'nobody'}-{days}"
        certificate, key_file = stem.with_suffix(".crt"), stem.with_suffix(".key")
        certificate.write_bytes(self._sign(builder))
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key_file

    def _begin(self, subject: x509.Name, key: Any, *, days: float) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=60))
            .not_valid_after(now + timedelta(days=days))
        )

    def _sign(self, builder: x509.CertificateBuilder) -> bytes:
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
async def secure(start: Any, ours: Authority, free_port: int, request: Any) -> Any:
    """An endpoint that asks for client certificates; its ``url`` is the HTTPS one."""
    certificate, key = ours.issue("monitor")
    tls = TlsSettings(
        (("127.0.0.1", free_port),), certificate, key, ours.certificate, getattr(request, "param", "optional")
    )
    monitor = await start(tls=tls)
    monitor.url = f"https://127.0.0.1:{free_port}"
    return monitor


def client(ours: Authority, pair: tuple[Path, Path] | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ours.certificate))
    if pair is not None:
        context.load_cert_chain(*pair)
    return context


async def deliver(
    monitor: Any, make: Any, context: ssl.SSLContext, *, box: str = "box1", token: str = ""
) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    delivery = make.delivery(make.batch(1), box=box)
    connector = aiohttp.TCPConnector(ssl=context)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(f"{monitor.url}/v1/batches", json=delivery, headers=headers) as reply,
    ):
        return reply.status, (await reply.json(content_type=None)).get("code", "")


async def test_a_certificate_stands_for_the_token(secure: Any, ours: Authority, make: Any) -> None:
    of_box1 = client(ours, ours.issue("box1"))
    assert await deliver(secure, make, of_box1) == (200, "")
    assert await deliver(secure, make, of_box1, box="box2") == (403, "foreign-box")
    assert await deliver(secure, make, of_box1, token=OF_BOX1) == (200, "")
    assert await deliver(secure, make, of_box1, token=OF_BOX2) == (401, "bad-token")
    assert await deliver(secure, make, of_box1, token=OF_BOX1[:-1]) == (401, "bad-token")
    without = client(ours, None)
    assert await deliver(secure, make, without, token=OF_BOX1) == (200, "")
    assert await deliver(secure, make, without) == (401, "bad-token")


async def test_certificates_of_nobody_we_know(secure: Any, ours: Authority, make: Any) -> None:
    for names in (("box9",), ("box1", "box2"), ("box1", "box1"), ("BOX1",), ()):
        assert await deliver(secure, make, client(ours, ours.issue(*names))) == (401, "bad-token")


async def test_certificates_that_tls_itself_refuses(
    secure: Any, ours: Authority, tmp_path: Path, make: Any
) -> None:
    other = Authority(tmp_path, "other")
    for pair in (other.issue("box1"), ours.issue("box1", days=-1)):
        with pytest.raises(aiohttp.ClientError):
            await deliver(secure, make, client(ours, pair), token=OF_BOX1)
    assert await deliver(secure, make, client(ours, ours.issue("box1"))) == (200, "")  # it lives


@pytest.mark.parametrize("secure", ["required"], indirect=True)
async def test_required_means_no_box_from_elsewhere_without_one(
    secure: Any, ours: Authority, make: Any
) -> None:
    assert await deliver(secure, make, client(ours, ours.issue("box1"))) == (200, "")
    # This test stands on the monitor's own machine, as the box of `filterd run` does ...
    assert await deliver(secure, make, client(ours, None), token=OF_BOX1) == (200, "")
    # ... and through a proxy it would not.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=client(ours, None))) as session:
        headers = {"Authorization": f"Bearer {OF_BOX1}", "X-Forwarded-For": "192.0.2.1"}
        async with session.post(
            f"{secure.url}/v1/batches", json=make.delivery(make.batch(1)), headers=headers
        ) as reply:
            assert reply.status == 401
            assert "certificate" in (await reply.json(content_type=None))["detail"]
        async with session.get(f"{secure.url}/metrics") as reply:
            assert reply.status == 200  # Prometheus is no box


async def test_old_tls_and_plain_http_get_nothing(secure: Any, ours: Authority) -> None:
    assert server_context(secure.settings.tls).minimum_version == ssl.TLSVersion.TLSv1_2
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"{secure.url.replace('https', 'http')}/healthz")
        async with session.get(f"{secure.url}/healthz", ssl=client(ours, None)) as reply:
            assert reply.status == 200


def test_files_that_cannot_be_used(ours: Authority, tmp_path: Path) -> None:
    certificate, key = ours.issue("monitor")
    _other, other_key = ours.issue("else")
    empty = tmp_path / "empty"
    empty.write_text("")
    listen = (("127.0.0.1", 0),)
    for settings in (
        TlsSettings(listen, tmp_path / "none", key),
        TlsSettings(listen, certificate, tmp_path / "none"),
        TlsSettings(listen, certificate, other_key),
        TlsSettings(listen, empty, key),
        TlsSettings(listen, certificate, key, empty),
        TlsSettings(listen, certificate, key, tmp_path / "none"),
    ):
        with pytest.raises(StartError) as caught:
            server_context(settings)
        assert "monitor.tls" in caught.value.remedy
