"""The change log of the policy (R6): who, when, why, what before and after; one line of JSON a change.

Each line carries the hash of the one before it, so a line that is changed or taken out shows. It is bounded:
full files are numbered and the oldest goes. The full texts of the versions it names are kept in the
folder of policies.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from filterd.errors import StartError

MAX_BYTES: Final = 4 << 20  # of a file: about 10,000 changes
MAX_FILES: Final = 5
_FIRST = "0" * 64


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the log.

    Attributes:
        number: grows by one.
        at: UTC, ISO 8601.
        what: ``start``, ``reload``, ``undo``, ``override_add`` or ``override_end``.
        who: the name that was given, or the login of who asked.
        user: the user of the system that asked, as the kernel says it.
        why: the reason that was given; may be empty.
        old, new: versions of the policy before and after.
        more: the override, if it is about one.
        before: hash of the line before.
        hash: of this line without this field.
    """

    number: int
    at: str
    what: str
    who: str
    user: str
    why: str
    old: str
    new: str
    more: Mapping[str, Any] = field(default_factory=dict)
    before: str = _FIRST
    hash: str = ""

    def sealed(self) -> str:
        """Return the hash that the line should have (SHA-256 of its canonical JSON)."""
        values = {name: value for name, value in asdict(self).items() if name != "hash"}
        text = json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for a change, and why."""

    who: str
    user: str = ""
    why: str = ""


class PolicyLog:
    """The log in a state folder. One process writes; any may read.

    Args:
        path: of the file now written; full ones lie beside it as ``.1``, ``.2`` ...
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(
        self, asked: Asked, what: str, *, old: str, new: str, at: float, more: Mapping[str, Any] | None = None
    ) -> Change:
        """Add a change, durable when this returns.

        Raises:
            StartError: the log cannot be written; what it was to tell must not be done then.
        """
        last = next(iter(self.newest()), None)
        change = Change(
            number=last.number + 1 if last else 1,
            at=datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"),
            what=what,
            who=asked.who[:200],
            user=asked.user[:200],
            why=asked.why[:1000],
            old=old,
            new=new,
            more=dict(more or {}),
            before=last.hash if last else _FIRST,
        )
        values = {**asdict(change), "hash": change.sealed()}
        line = json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n"
        try:
            self._make_room()
            self._append(line.encode())
        except OSError as error:
            raise StartError(
                f"cannot write the change log {self._path}: {error.strerror}", remedy="nothing was changed"
            ) from error
        return Change(**values)

    def newest(self) -> Iterator[Change]:
        """Return the changes, the newest first; lines that cannot be read are left out."""
        for path in self._files():
            for line in reversed(_lines(path)):
                change = _parsed(line)
                if change is not None:
                    yield change

    def faults(self) -> list[str]:
        """Return what is wrong with the chain, in words; empty when it is whole."""
        found: list[str] = []
        before: Change | None = None
        for path in reversed(self._files()):
            for number, line in enumerate(_lines(path), 1):
                place = f"{path}:{number}"
                change = _parsed(line)
                if change is None:
                    found.append(f"{place}: cannot be read")
                    continue
                if change.hash != change.sealed():
                    found.append(f"{place}: change {change.number} was altered")
                if before is not None and change.before != before.hash:
                    found.append(f"{place}: something between {before.number} and {change.number} is missing")
                elif before is None and change.number == 1 and change.before != _FIRST:
                    found.append(f"{place}: the first change is not the first")
                before = change
        return found

    def _files(self) -> list[Path]:
        """Return the files, the one now written first."""
        older = [self._path.with_name(f"{self._path.name}.{number}") for number in range(1, MAX_FILES)]
        return [path for path in (self._path, *older) if path.is_file()]

    def _make_room(self) -> None:
        if not self._path.exists() or self._path.stat().st_size < MAX_BYTES:
            return
        for number in range(MAX_FILES - 1, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path.with_name(f"{self._path.name}.{number - 1}") if number > 1 else self._path
            if newer.exists():
                newer.replace(older)

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line  # a crash cut the last line: it stays to be seen, and this one is whole
            written = os.write(descriptor, line)
            if written != len(line):
                os.ftruncate(descriptor, size)
                raise OSError(28, "No space left on device")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text("utf-8", "replace").split("\n") if line]
    except OSError:
        return []


def _parsed(line: str) -> Change | None:
    try:
        return Change(**json.loads(line))
    except (ValueError, TypeError):
        return None
