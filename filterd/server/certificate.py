"""The certificate of encrypted DNS: read, held against what clients check, and read anew when it changes.

A certificate that cannot be used never takes the place of one that can. Never writes a file and never asks an
authority: certbot, lego or acme.sh do (docs/encrypted-dns.md).
"""

from __future__ import annotations

import ipaddress
import ssl
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from filterd.errors import CertificateError

log = structlog.get_logger(__name__)

LOOK = 30.0  # seconds between two looks at the files
_LARGEST = 1 << 20
# Of TLS 1.2 only what 1.3 has too: forward secrecy and AEAD (RFC 9325 section 4.2).
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"

Marks = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that fits its key.

    Args:
        chain: PEM file, the server's own certificate first.
        key: PEM file.
        names: DNS names and addresses it is made out to.
        begins: seconds since 1970, UTC.
        expires: seconds since 1970, UTC.
    """

    chain: Path
    key: Path
    names: tuple[str, ...]
    begins: float
    expires: float

    def context(self, alpn: Sequence[str]) -> ssl.SSLContext:
        """Return a server's context.

        Raises:
            CertificateError: OpenSSL refuses what was read a moment ago.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_alpn_protocols(list(alpn))
        try:
            context.load_cert_chain(self.chain, self.key, password=_no_password)
        except (OSError, ssl.SSLError) as error:
            raise CertificateError(
                f"{self.chain} and {self.key} cannot be used: {error}", remedy="renew them"
            ) from error
        return context

    def wrong_at(self, now: float) -> str:
        """Return why clients would refuse it at an instant (UTC seconds); "" when they would not."""
        if now >= self.expires:
            return f"{self.chain} expired on {_day(self.expires)}"
        return f"{self.chain} is not valid before {_day(self.begins)}" if now < self.begins else ""


def read_certificate(chain: Path, key: Path, name: str) -> Certificate:
    """Return the certificate in two PEM files; whether its time has come is `Certificate.wrong_at`.

    Args:
        chain: certificate and intermediates.
        key: private key without a password.
        name: that clients verify.

    Raises:
        CertificateError: missing, unreadable, no PEM, for another key or another name; says what to do.
    """
    certificate = _certificate(chain)
    private = _private_key(key)
    if _public(certificate.public_key()) != _public(private.public_key()):
        raise CertificateError(
            f"{key} is not the key of {chain}", remedy="name the two files of one certificate"
        )
    names = _names(certificate)
    if not any(_covers(pattern, name) for pattern in names):
        raise CertificateError(
            f"{chain} is for {', '.join(names) or 'no name'}, not for {name}",
            remedy="get a certificate for the name, or set `encrypted.name` to one it has",
        )
    return Certificate(
        chain,
        key,
        names,
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
    )


def valid_certificate(chain: Path, key: Path, name: str, now: float) -> Certificate:
    """Return the certificate as `read_certificate` does, if clients accept it at ``now`` (UTC seconds).

    Raises:
        CertificateError: it cannot be used, or not now.
    """
    found = read_certificate(chain, key, name)
    if wrong := found.wrong_at(now):
        raise CertificateError(wrong, remedy="renew it, and see that this box's clock is right")
    return found


class CertificateKeeper:
    """The certificate in force, and the contexts made of it.

    Args:
        chain, key: PEM files.
        name: that clients verify.
        alpn: protocols by listener, best first.
        counters: where failures are counted.

    Raises:
        CertificateError: the files cannot be used.
    """

    def __init__(
        self, chain: Path, key: Path, name: str, alpn: dict[str, tuple[str, ...]], counters: Counter[str]
    ) -> None:
        self._files = chain, key
        self._name = name
        self._alpn = alpn
        self._counters = counters
        self._marks = self._look()
        self._refused: Marks = ()
        self.certificate = read_certificate(chain, key, name)
        self._contexts = self._made(self.certificate)

    def context(self, listener: str) -> ssl.SSLContext:
        """Return the context for the next connection of a listener."""
        return self._contexts[listener]

    def refresh(self, now: float) -> bool:
        """Take the files anew if they changed; return whether it did. A bad one is counted and logged once.

        Args:
            now: seconds since 1970, UTC.
        """
        marks = self._look()
        if marks == self._marks:
            return False
        try:
            certificate = valid_certificate(*self._files, self._name, now)
            contexts = self._made(certificate)
        except CertificateError as error:
            if marks != self._refused:
                self._refused = marks
                self._counters["certificate_refused"] += 1
                log.error("certificate_refused", error=str(error))  # noqa: TRY400 - the line says all
            return False
        self._marks, self._refused = marks, ()
        self.certificate, self._contexts = certificate, contexts
        log.info("certificate_taken", names=certificate.names, expires=_day(certificate.expires))
        return True

    def _made(self, certificate: Certificate) -> dict[str, ssl.SSLContext]:
        return {listener: certificate.context(alpn) for listener, alpn in self._alpn.items()}

    def _look(self) -> Marks:
        """Return what changes when a file does; links, as certbot makes them, are followed."""
        marks = []
        for path in self._files:
            try:
                found = path.stat()
            except OSError:
                marks.append((0, 0, 0))
                continue
            marks.append((found.st_mtime_ns, found.st_size, found.st_ino))
        return tuple(marks)


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(_content(path, "certificate"))[0]
    except ValueError as error:
        raise CertificateError(
            f"{path} holds no certificate in PEM", remedy="name the file with the whole chain, fullchain.pem"
        ) from error


def _private_key(path: Path) -> serialization.ssh.SSHPrivateKeyTypes:
    try:
        found = serialization.load_pem_private_key(_content(path, "key"), password=None)
    except TypeError as error:
        raise CertificateError(
            f"the key {path} is locked by a password", remedy="store it without one, readable by filterd only"
        ) from error
    except ValueError as error:
        raise CertificateError(f"{path} holds no private key in PEM", remedy="name privkey.pem") from error
    return found  # type: ignore[return-value]  # DH keys apart, which no certificate has


def _content(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except FileNotFoundError as error:
        raise CertificateError(
            f"the {what} {path} is missing", remedy="see docs/encrypted-dns.md, or remove `encrypted`"
        ) from error
    except OSError as error:
        raise CertificateError(
            f"the {what} {path} cannot be read: {error.strerror}",
            remedy="let the user that filterd runs as read it",
        ) from error


def _public(key: object) -> bytes:
    return key.public_bytes(  # type: ignore[attr-defined,no-any-return]  # every kind of key has it
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()  # clients look at nothing else (RFC 9525)
    addresses = (str(address) for address in found.get_values_for_type(x509.IPAddress))
    return (*found.get_values_for_type(x509.DNSName), *addresses)


def _covers(pattern: str, name: str) -> bool:
    """Return whether a name in a certificate covers a name (RFC 9525 section 6.3)."""
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if pattern.startswith("*."):
        return name.partition(".")[2] == pattern[2:]
    try:
        return ipaddress.ip_address(pattern) == ipaddress.ip_address(name)
    except ValueError:
        return pattern == name


def _no_password() -> str:
    return ""  # without this OpenSSL would ask the terminal


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="minutes")
