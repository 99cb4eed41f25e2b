"""A transfer that may be interrupted: the bytes that came, and beside them what they are the beginning of.

Resuming is safe only when the server names its content in a way that changes with every byte (RFC 9110
section 8.8.1); otherwise the transfer begins anew.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

_SURE: Final = 60  # seconds after which a modification time identifies a content (RFC 9110 section 8.8.2.2)


@dataclass(frozen=True, slots=True)
class Part:
    """What is known of a part file.

    Attributes:
        url: where it comes from.
        etag, last_modified: what the server called it.
        strong: whether these change with every byte.
    """

    url: str = ""
    etag: str = ""
    last_modified: str = ""
    strong: bool = False

    @property
    def validator(self) -> str:
        """What If-Range may carry, empty when the rest cannot be asked for (RFC 9110 section 13.1.5)."""
        return (self.etag or self.last_modified) if self.strong else ""


_PART: Final = TypeAdapter(Part)


def held(path: Path, url: str) -> Part:
    """Return what is known of the part that came before; nothing when it is of another address."""
    try:
        part = _PART.validate_json(_about(path).read_bytes())
    except (OSError, ValidationError):
        return Part()
    return part if part.url == url and path.is_file() else Part()


def begin(path: Path, url: str, *, etag: str, last_modified: str, date: str) -> None:
    """Write down what a transfer that begins now is of; arguments are headers of the answer.

    Raises:
        OSError: it cannot be written.
    """
    strong = bool(etag) and not etag.startswith("W/")
    if not etag and last_modified and date:
        with suppress(ValueError, TypeError):
            age = parsedate_to_datetime(date) - parsedate_to_datetime(last_modified)
            strong = age.total_seconds() >= _SURE
    path.unlink(missing_ok=True)
    _about(path).write_bytes(_PART.dump_json(Part(url, etag, last_modified, strong)))


def discard(path: Path) -> None:
    """Forget a part file, once it was taken or is of no use."""
    path.unlink(missing_ok=True)
    _about(path).unlink(missing_ok=True)


def _about(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")
