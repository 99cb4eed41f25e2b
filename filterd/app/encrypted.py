"""Files that encrypted DNS needs, looked into before anything serves; what ``filterd status`` tells of it."""

from __future__ import annotations

import ssl
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filterd.config.load import Config
from filterd.errors import CertificateError, ConfigError, OutboxError
from filterd.events.outboxreader import OutboxReader
from filterd.resolver.secure import client_context
from filterd.server.certificate import Certificate, read_certificate


def certificate_of(config: Config) -> Certificate | None:
    """Return the certificate of the listeners; None when none are configured.

    Raises:
        CertificateError: it cannot be used, whatever the time is.
    """
    encrypted = config.server().encrypted
    if encrypted is None:
        return None
    found = read_certificate(Path(encrypted.certificate), Path(encrypted.key), encrypted.name)
    found.context(())  # what OpenSSL says of it counts in the end
    return found


def valid_certificate_of(config: Config, at: float) -> Certificate | None:
    """Return the certificate as `certificate_of` does, if clients accept it at an instant (UTC seconds).

    Raises:
        CertificateError: it cannot be used, or not now.
    """
    found = certificate_of(config)
    if found is not None and (wrong := found.wrong_at(at)):
        raise CertificateError(wrong, remedy="renew it, and see that this box's clock is right")
    return found


def check_authorities(config: Config) -> None:
    """Check the file of authorities for encrypted upstreams.

    Raises:
        ConfigError: it cannot be read, or holds no certificate.
    """
    file = config.resolver().ca_file
    if file is None:
        return
    try:
        client_context(file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"upstream_ca_file {file} cannot be used: {error.strerror or error}",
            remedy="name a PEM file with the authorities' certificates, or remove the key",
        ) from error


def status(config: Config, addresses: dict[str, list[str]]) -> dict[str, Any]:
    """Return what ``filterd status`` tells of encrypted DNS, to clients and to upstreams; blocks.

    Args:
        config: in force.
        addresses: really bound, by transport.
    """
    found: dict[str, Any] = {"upstreams": [str(one) for one in config.upstreams()]}
    found["fallback"] = config.model.upstream_fallback
    found["fallen_back"] = _fallen_back(config.state.outboxes)
    if config.model.encrypted is None:
        return found
    found["listen"] = addresses
    found["name"] = config.model.encrypted.name
    try:
        certificate = certificate_of(config)
    except CertificateError as error:
        found["certificate_problem"] = str(error)
        return found
    if certificate is not None:
        found["expires"] = datetime.fromtimestamp(certificate.expires, UTC).isoformat(timespec="minutes")
    return found


def _fallen_back(outboxes: Path) -> bool:
    """Return whether a DNS process said lately that it asks plain upstreams for want of encrypted ones."""
    for path in sorted(outboxes.glob("*.outbox")):
        with suppress(OutboxError), closing(OutboxReader(path)) as reader:
            health = reader.load(max_batches=1, max_bytes=1).health
            if health is not None and health.values.get("upstream_fallen_back"):
                return True
    return False
