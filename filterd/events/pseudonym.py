"""A device's name that cannot be turned back, and that changes with the term.

Pseudonym = HMAC-SHA256(box secret, term, MAC or address) (RFC 2104), 80 bits of it in base32. Without the
secret nobody can try all addresses; with a new term the same device has a new name. Never logs a client.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
import stat
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from pathlib import Path

import structlog

from filterd.errors import StartError

LENGTH = 16  # characters of base32: 80 bits, no chance collision among the devices of a country
SECRET_BYTES = 32
KAZAKHSTAN = timezone(timedelta(hours=5))  # one zone for the country since 1 March 2024
_MAPPED = b"\x00" * 10 + b"\xff\xff"  # ::ffff:0:0/96, RFC 4291 section 2.5.5.2

_log = structlog.get_logger(__name__)

Calendar = Callable[[date], str]


def school_term(day: date) -> str:
    """Return the school year and term of a day, e.g. ``"2025/2"``: the default calendar.

    The ministry sets exact dates each year; these borders fall into the holidays between the terms in every
    year: 1 September, 1 November, 1 January, 22 March (Nauryz). Summer belongs to the fourth term.
    """
    if day.month >= 9:
        return f"{day.year}/{1 if day.month < 11 else 2}"
    third = (day.month, day.day) < (3, 22)
    return f"{day.year - 1}/{3 if third else 4}"


class Pseudonyms:
    """Makes pseudonyms; remembers the latest so that a busy device costs one HMAC a term.

    Args:
        secret: the box's secret, see `load_secret`.
        calendar: day -> name of its term; any text that changes when pseudonyms have to.
        zone: the school's time zone, in which days begin.
        max_cached: devices remembered; at the limit all are forgotten and made anew when they come.
    """

    def __init__(
        self,
        secret: bytes,
        *,
        calendar: Calendar = school_term,
        zone: tzinfo = KAZAKHSTAN,
        max_cached: int = 8192,
    ) -> None:
        self._secret = secret
        self._renewed: bytes | None = None
        self._calendar = calendar
        self._zone = zone
        self._max_cached = max_cached
        self._cached: dict[bytes, str] = {}
        self._hour = -1
        self._term = b""

    def renew(self, secret: bytes) -> None:
        """Use another secret from the next call on: every device gets another pseudonym. From any thread."""
        self._renewed = secret

    def __call__(self, address: bytes, mac: bytes | None, at: int) -> str:
        """Return the pseudonym of a device at a time.

        Args:
            address: packed address, 4 or 16 bytes; counts only when there is no MAC.
            mac: hardware address, if known: it stays when the address changes.
            at: UTC seconds.
        """
        self._turn(at)
        if mac is not None:
            device = b"mac\x00" + mac
        elif address.startswith(_MAPPED):
            device = b"ip\x00" + address[12:]
        else:
            device = b"ip\x00" + address
        found = self._cached.get(device)
        if found is None:
            digest = hmac.digest(self._secret, self._term + b"\x00" + device, "sha256")
            found = base64.b32encode(digest)[:LENGTH].decode("ascii").lower()
            if len(self._cached) >= self._max_cached:
                self._cached.clear()
            self._cached[device] = found
        return found

    def _turn(self, at: int) -> None:
        if self._renewed is not None:
            self._secret, self._renewed = self._renewed, None
            self._cached.clear()
        hour = at // 3600  # in Kazakhstan a day begins on the hour
        if hour == self._hour:
            return
        self._hour = hour
        day = datetime.fromtimestamp(at, UTC).astimezone(self._zone).date()
        term = self._calendar(day).encode()
        if term != self._term:
            self._term = term
            self._cached.clear()


def load_secret(path: Path) -> bytes:
    """Return the box's secret; on first use make the file, readable by its owner only.

    The file appears whole or not at all, also when several workers start together.

    Raises:
        StartError: the file cannot be made or read, or is not a secret.
    """
    try:
        if not path.exists():
            _make_secret(path)
        secret = path.read_bytes()
        _close_to_others(path)
    except OSError as error:
        raise StartError(
            f"the secret for pseudonyms cannot be used: {error}",
            remedy=f"make {path.parent} writable for the user that runs filterd",
        ) from error
    if len(secret) != SECRET_BYTES:
        raise StartError(
            f"{path} does not hold {SECRET_BYTES} bytes",
            remedy="restore it, or remove it: then every device gets a new pseudonym",
        )
    return secret


def rotate_secret(path: Path) -> None:
    """Replace the box's secret by a new one, whole or not at all; the old one is gone for good.

    Raises:
        StartError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _make_secret(draft)
        draft.replace(path)
    except OSError as error:
        raise StartError(
            f"the secret for pseudonyms cannot be replaced: {error}",
            remedy=f"run as the user that {path.parent} belongs to",
        ) from error


def _make_secret(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, secrets.token_bytes(SECRET_BYTES))
        os.fsync(handle)
    finally:
        os.close(handle)
    try:
        os.link(draft, path)  # fails when another worker was first: then its secret counts
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _close_to_others(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        _log.warning("secret_readable_by_others", path=str(path), mode=oct(mode), remedy="now set to 0600")
        path.chmod(0o600)
