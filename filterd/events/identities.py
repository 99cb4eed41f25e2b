"""Which device a pseudonym is: a store apart, sealed so that this box itself cannot read it.

For an identity release (school.md): the psychologist asks, the deputy head approves, one device is shown.
Each row is sealed by HPKE (RFC 9180: X25519, HKDF-SHA256, ChaCha20-Poly1305) to public keys whose private
halves are files in people's hands. Why not a key kept on the box: who took or bought the box, or administers
it, would hold mapping and key together; so the box can only write. It is sealed to all keys in turn, the
first innermost: with the psychologist's and the deputy's key, neither opens it alone.

Without public keys nothing is noted. In the clear stand the pseudonym and the days, which events have too,
and a keyed hash by which the same device finds its row again. (Who holds the box's secret can try all
addresses against that hash, as against the pseudonym itself: no file of the box is more private.) Bounded in
rows and age. Written by the writer's thread, never by the DNS loop. Never shipped (it is no outbox), never
logged, never part of health.
"""

from __future__ import annotations

import hmac
import json
import os
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from filterd.errors import IdentityError, StartError

DAY = 86_400
KEY_BYTES = 32
MAX_KEYS = 4
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_INFO = b"filterd identity 1"
_PURPOSE = b"filterd identities"
_WAIT = 0.25  # seconds for the lock of another DNS process

_SCHEMA = """
CREATE TABLE IF NOT EXISTS identities (
    pseudonym TEXT NOT NULL,
    device BLOB NOT NULL,
    first_day INTEGER NOT NULL,
    last_day INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (pseudonym, device)
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A device that had a pseudonym.

    Attributes:
        address: as text.
        mac: as text; empty when it was not known.
        first_day, last_day: UTC seconds at which the first and the last day with it begin.
    """

    address: str
    mac: str
    first_day: int
    last_day: int


class Identities:
    """The writing side: notes which device a pseudonym is. For one thread; one file for all processes.

    Args:
        path: the SQLite file, made on first use with mode 0600.
        keys: public keys, 1 to 4, 32 bytes each; to read a row all of their private halves are needed.
        secret: the box's secret, for the keyed hash of devices.
        max_rows: rows kept; those seen longest ago go first.
        max_days: days that a row is kept after its device was last seen: one term.
        max_waiting: notes that wait for the file in memory.

    Attributes:
        dropped: notes that found no room.
        failures: times that the file could not be written; the notes wait.
    """

    def __init__(
        self,
        path: Path,
        keys: Sequence[bytes],
        secret: bytes,
        *,
        max_rows: int = 50_000,
        max_days: int = 100,
        max_waiting: int = 10_000,
    ) -> None:
        self.dropped = self.failures = 0
        self._path = path
        self._keys = [X25519PublicKey.from_public_bytes(key) for key in keys]
        self._secret = hmac.digest(secret, _PURPOSE, "sha256")
        self._max_rows = max_rows
        self._max_days = max_days
        self._max_waiting = max_waiting
        self._noted: OrderedDict[tuple[str, bytes, bytes | None], int] = OrderedDict()
        self._waiting: dict[tuple[str, bytes, bytes | None], int] = {}

    def note(self, pseudonym: str, address: bytes, mac: bytes | None, at: int) -> None:
        """Remember a device until `write`; cheap when it is known this day already."""
        key = (pseudonym, address, mac)
        day = at - at % DAY
        if self._noted.get(key) == day:
            return
        if key not in self._waiting and len(self._waiting) >= self._max_waiting:
            self.dropped += 1
            return
        self._waiting[key] = self._noted[key] = day
        if len(self._noted) > self._max_waiting:
            self._noted.popitem(last=False)

    def write(self, now: int) -> None:
        """Bring what waits to the file and forget what is too old; trouble with the file is counted."""
        if not self._waiting:
            return
        try:
            if not self._path.exists():
                os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))
            with closing(sqlite3.connect(self._path, timeout=_WAIT)) as connection, connection:
                connection.execute("PRAGMA secure_delete = ON")
                connection.execute(_SCHEMA)
                for key, day in self._waiting.items():
                    self._put(connection, key, day)
                self._bound(connection, now)
        except (sqlite3.Error, OSError):
            self.failures += 1
            return
        self._waiting.clear()

    def _put(self, connection: sqlite3.Connection, key: tuple[str, bytes, bytes | None], day: int) -> None:
        pseudonym, address, mac = key
        device = hmac.digest(self._secret, pseudonym.encode() + address + b"\0" + (mac or b""), "sha256")[:16]
        known = connection.execute(
            "UPDATE identities SET first_day = min(first_day, ?), last_day = max(last_day, ?)"
            " WHERE pseudonym = ? AND device = ?",
            (day, day, pseudonym, device),
        ).rowcount
        if not known:
            connection.execute(
                "INSERT INTO identities VALUES (?, ?, ?, ?, ?)",
                (pseudonym, device, day, day, self._seal(pseudonym, address, mac)),
            )

    def _seal(self, pseudonym: str, address: bytes, mac: bytes | None) -> bytes:
        found = {"address": str(ip_address(address)), "mac": mac.hex(":") if mac else ""}
        # Padded: the length must not tell an IPv4 from an IPv6 device, or one whose MAC is known.
        sealed = json.dumps(found).encode().ljust(128)
        for key in self._keys:
            sealed = _SUITE.encrypt(sealed, key, _INFO + pseudonym.encode())
        return sealed

    def _bound(self, connection: sqlite3.Connection, now: int) -> None:
        oldest = now - self._max_days * DAY
        connection.execute("DELETE FROM identities WHERE last_day < ?", (oldest,))
        (rows,) = connection.execute("SELECT count(*) FROM identities").fetchone()
        if rows > self._max_rows:
            connection.execute(
                "DELETE FROM identities WHERE (pseudonym, device) IN"
                " (SELECT pseudonym, device FROM identities ORDER BY last_day LIMIT ?)",
                (rows - self._max_rows,),
            )


class Noting:
    """Makes pseudonyms, as `pseudonym.Pseudonyms`, and notes which device each of them is."""

    def __init__(self, pseudonyms: Callable[[bytes, bytes | None, int], str], identities: Identities) -> None:
        self._pseudonyms = pseudonyms
        self._identities = identities

    def __call__(self, address: bytes, mac: bytes | None, at: int) -> str:
        """Return the pseudonym of a device at a time."""
        pseudonym = self._pseudonyms(address, mac, at)
        self._identities.note(pseudonym, address, mac, at)
        return pseudonym


def look_up(path: Path, pseudonym: str, keys: Sequence[bytes]) -> list[Sighting]:
    """Return the devices that had a pseudonym, the latest first; more than one when its address changed.

    Whether anybody may look, and the record of it, is the caller's: this only opens one pseudonym's rows.

    Args:
        path: of the store.
        pseudonym: as in events and review cards.
        keys: private keys, in the order in which their public halves were given to `Identities`.

    Raises:
        IdentityError: there is no store, it cannot be read, or these are not the keys.
    """
    if not path.exists():
        raise IdentityError(f"there is no {path}", remedy="identities are noted once release keys are set up")
    secrets = [X25519PrivateKey.from_private_bytes(key) for key in keys]
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute(
                "SELECT first_day, last_day, sealed FROM identities WHERE pseudonym = ?"
                " ORDER BY last_day DESC, first_day DESC",
                (pseudonym,),
            ).fetchall()
    except sqlite3.Error as error:
        raise IdentityError(f"{path} cannot be read: {error}") from error
    found = []
    for first, last, sealed in rows:
        try:
            for secret in reversed(secrets):
                sealed = _SUITE.decrypt(sealed, secret, _INFO + pseudonym.encode())  # noqa: PLW2901 - layer by layer
            opened = json.loads(sealed)
        except (InvalidTag, ValueError) as error:
            raise IdentityError(
                "these keys do not open it", remedy="give all keys, in their order"
            ) from error
        found.append(Sighting(opened["address"], opened["mac"], first, last))
    return found


def new_key(path: Path) -> bytes:
    """Make a private key in a file of mode 0600 and return its public half.

    Raises:
        StartError: there is a file already, or it cannot be made.
    """
    key = X25519PrivateKey.generate()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(key.private_bytes_raw().hex().encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise StartError(
            f"cannot make {path}: {error.strerror}", remedy="name a file that is not there"
        ) from error
    return key.public_key().public_bytes_raw()


def read_keys(path: Path) -> list[bytes]:
    """Return the keys in a file, private or public: one a line, in hex; none when there is no file.

    Raises:
        StartError: it cannot be read, or is no file of keys.
    """
    try:
        keys = [bytes.fromhex(line) for line in path.read_text("ascii").split()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise StartError(f"{path} holds no keys: {error}", remedy="make it anew") from error
    if len(keys) > MAX_KEYS or any(len(key) != KEY_BYTES for key in keys):
        raise StartError(f"{path} holds no keys", remedy=f"one key a line, 64 hex digits, {MAX_KEYS} at most")
    return keys
