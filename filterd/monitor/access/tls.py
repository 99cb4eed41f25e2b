"""HTTPS of the monitor: the server's certificate, and client certificates that stand for a box's token.

A client certificate is verified by TLS itself against the one authority that is named; what it says of its
subject is only read here. No revocation list: a box that is revoked is unknown, whatever it shows.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from filterd.errors import StartError
from filterd.monitor.settings import TlsSettings

HANDSHAKE_SECONDS = 15.0


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return the context of the listener: TLS 1.2 and later, client certificates asked for if they have a CA.

    Raises:
        StartError: a file is missing, unreadable, or not what it should be.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(_readable(settings.certificate), _readable(settings.key), password="")
    except (ssl.SSLError, ValueError) as error:
        raise StartError(
            f"{settings.certificate} and {settings.key} are no certificate with its key: {error}",
            remedy="set monitor.tls.certificate and key to PEM files that belong together, no password",
        ) from error
    if settings.client_ca is not None:
        try:
            context.load_verify_locations(_readable(settings.client_ca))
        except ssl.SSLError as error:
            raise StartError(
                f"{settings.client_ca} holds no certificate: {error}",
                remedy="set monitor.tls.client_ca to the PEM file of the authority of the boxes",
            ) from error
        # Not CERT_REQUIRED: Prometheus and people come through the same door; the doorkeeper asks boxes.
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def common_names(transport: asyncio.BaseTransport | None) -> tuple[str, ...]:
    """Return the common names of the subject of a verified client certificate; none without one."""
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    if not certificate:
        return ()
    return tuple(
        value
        for relative_name in certificate.get("subject", ())
        for kind, value in relative_name
        if kind == "commonName"
    )


def _readable(path: Path) -> Path:
    try:
        path.open("rb").close()
    except OSError as error:
        raise StartError(
            f"cannot read {path}: {error.strerror}", remedy="check monitor.tls and the file's owner"
        ) from error
    return path
