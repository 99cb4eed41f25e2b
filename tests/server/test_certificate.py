"""The certificate of encrypted DNS: what is wrong is said in one line, and a bad one never gets in."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from pathlib import Path

import dns.message
import pytest
import trustme
from _encrypted import NAME, framed, query, receive, until, utc
from cryptography.hazmat.primitives import serialization

from filterd.errors import CertificateError
from filterd.server.certificate import CertificateKeeper, read_certificate, valid_certificate
from filterd.server.settings import RateLimit

DAY = 86_400


def refused(files, name=NAME):
    with pytest.raises(CertificateError) as caught:
        valid_certificate(files.chain, files.key, name, time.time())
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
    return str(caught.value)


def test_what_is_right_is_read(files):
    found = read_certificate(files.chain, files.key, NAME)
    assert set(found.names) == {NAME, "127.0.0.1"}
    assert found.begins < time.time() < found.expires
    assert found.wrong_at(time.time()) == ""


@pytest.mark.parametrize("name", [NAME, NAME.upper(), "127.0.0.1", f"{NAME}."])
def test_names_it_is_for(files, name):
    read_certificate(files.chain, files.key, name)


def test_9525_a_wildcard_covers_one_label(files, authority):
    files.write(authority, "*.school.test")
    read_certificate(files.chain, files.key, "dns.school.test")
    for name in ("school.test", "a.dns.school.test", "dns.other.test"):
        assert "is for *.school.test, not for" in refused(files, name)


def test_another_name(files):
    assert "not for dns.other.test (get a certificate for the name" in refused(files, "dns.other.test")


def test_missing_files(files):
    files.key.unlink()
    assert f"the key {files.key} is missing" in refused(files)
    files.chain.unlink()
    assert f"the certificate {files.chain} is missing" in refused(files)


def test_a_folder_is_no_certificate(files):
    files.chain.unlink()
    files.chain.mkdir()
    assert "cannot be read" in refused(files)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x30\x82", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_no_pem(files, content):
    key = files.key.read_bytes()
    files.key.write_bytes(content)
    assert "holds no private key in PEM" in refused(files)
    files.key.write_bytes(key)
    files.chain.write_bytes(content)
    assert "holds no certificate in PEM" in refused(files)


def test_the_key_of_another_certificate(files, authority):
    files.key.write_bytes(authority.issue_cert(NAME).private_key_pem.bytes())
    assert f"{files.key} is not the key of {files.chain}" in refused(files)


def test_a_key_with_a_password(files):
    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    assert "locked by a password" in refused(files)


def test_expired_and_not_yet_valid(files, authority):
    files.write(authority, not_before=utc(-20), not_after=utc(-1))
    assert "expired on" in refused(files)
    files.write(authority, not_before=utc(1), not_after=utc(20))
    assert "not valid before" in refused(files)


@pytest.mark.parametrize("kind", trustme.KeyType)
def test_both_kinds_of_keys(files, kind):
    authority = trustme.CA(key_type=kind)
    files.write(authority, key_type=kind)
    found = read_certificate(files.chain, files.key, NAME)
    assert isinstance(found.context(("dot",)), ssl.SSLContext)


def keeper(files):
    return CertificateKeeper(files.chain, files.key, NAME, {"dot": ("dot",)}, Counter())


def test_nothing_changed_nothing_read(files):
    kept = keeper(files)
    context = kept.context("dot")
    assert not kept.refresh(time.time())
    assert kept.context("dot") is context


def test_a_renewed_one_is_taken(files, authority):
    kept = keeper(files)
    context, expires = kept.context("dot"), kept.certificate.expires
    files.write(authority, not_before=utc(-1), not_after=utc(90))
    assert kept.refresh(time.time())
    assert kept.context("dot") is not context
    assert kept.certificate.expires < expires


def test_a_link_that_leads_elsewhere_is_followed(tmp_path, authority, files):
    """As certbot does it: live/NAME/fullchain.pem -> archive/NAME/fullchainN.pem."""
    real = {kind: tmp_path / f"{kind}1" for kind in ("chain", "key")}
    for kind, path in real.items():
        getattr(files, kind).rename(path)
        getattr(files, kind).symlink_to(path)
    kept = keeper(files)
    renewed = authority.issue_cert(NAME, not_before=utc(-1), not_after=utc(90))
    for kind, content in (
        ("chain", renewed.cert_chain_pems[0].bytes()),
        ("key", renewed.private_key_pem.bytes()),
    ):
        path = tmp_path / f"{kind}2"
        path.write_bytes(content)
        link = Path(f"{getattr(files, kind)}.new")
        link.symlink_to(path)
        link.replace(getattr(files, kind))
    assert kept.refresh(time.time())


BAD = {
    "gone": lambda files, _: files.chain.unlink(),
    "no PEM": lambda files, _: files.chain.write_bytes(b"x"),
    "half written": lambda files, _: files.chain.write_bytes(files.chain.read_bytes()[:100]),
    "another key": lambda files, authority: files.key.write_bytes(
        authority.issue_cert(NAME).private_key_pem.bytes()
    ),
    "another name": lambda files, authority: files.write(authority, "dns.other.test"),
    "expired": lambda files, authority: files.write(authority, not_before=utc(-9), not_after=utc(-1)),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_one_keeps_the_old_and_is_counted_once(files, authority, bad):
    kept = keeper(files)
    context, expires = kept.context("dot"), kept.certificate.expires
    BAD[bad](files, authority)
    for _ in range(3):
        assert not kept.refresh(time.time())
    assert kept.context("dot") is context
    assert kept.certificate.expires == expires
    assert kept._counters["certificate_refused"] == 1
    files.write(authority, not_before=utc(-1), not_after=utc(90))
    assert kept.refresh(time.time()), "the next good one is taken"


async def test_an_expired_one_at_the_start_is_told_and_served(serve, files, authority):
    """The clock may be what is wrong; clients decide, and plain DNS goes on."""
    files.write(authority, not_before=utc(-9), not_after=utc(-1))
    service = await serve()
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        await service.dot()
    assert service.listeners.health()["certificate_expires"] < time.time()


async def test_a_swap_under_load_loses_no_query(serve, files, authority):
    service = await serve(settings={"rate": RateLimit(0)})
    seen, failed, stop = set(), [], asyncio.Event()

    async def ask():
        while not stop.is_set():
            try:
                reader, writer = await service.dot()
                seen.add(writer.get_extra_info("ssl_object").getpeercert()["serialNumber"])
                for _ in range(5):
                    message = query()
                    writer.write(framed(message.to_wire()))
                    assert message.is_response(dns.message.from_wire(await receive(reader)))
                writer.close()
            except Exception as error:  # noqa: BLE001  whatever it is, it must not be
                failed.append(error)

    reader, writer = await service.dot()  # one that was open before stays open
    clients = [asyncio.create_task(ask()) for _ in range(4)]
    await until(lambda: seen)
    for number in range(8):
        done = len(seen)
        if number % 2:
            files.write(authority)
        else:
            files.chain.write_bytes(b"half of a cert")
        await service.listeners.refresh()
        if number % 2:
            await until(lambda done=done: len(seen) > done)
    stop.set()
    await asyncio.gather(*clients)
    writer.write(framed(query().to_wire()))
    await receive(reader)
    writer.close()
    assert failed == []
    assert len(seen) == 5, "the first, and one for each of four renewals"
    assert service.counters["certificate_refused"] == 4
