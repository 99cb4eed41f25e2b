"""What must be there before a process serves: secrets, made on first use, and files written whole or not."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from filterd.config.load import Config
from filterd.errors import StartError

_SHORTEST_SECRET = 16


def token(path: Path) -> str:
    """Return the token in a file, made on first use and readable by its owner only.

    Raises:
        StartError: the file cannot be read or made.
    """
    try:
        with contextlib.suppress(FileNotFoundError):
            found = path.read_text("ascii").strip()
            if found:
                return found
        made = secrets.token_urlsafe(32)
        write_atomically(path, made.encode() + b"\n")
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"cannot use the token file {path}: {error}", remedy="check its owner") from error
    return made


def delivery_token(config: Config) -> str:
    """Return the token by which this box delivers: of the configured file, else its own endpoint's.

    Raises:
        StartError: the configured file cannot be read.
    """
    file = config.token_file
    if file is None:
        return token(config.state.box_token)
    try:
        return file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(
            f"cannot read the token file {file}: {error}", remedy="put the region's token there, mode 0600"
        ) from error


def secret_of(file: Path | None) -> bytes:
    """Return the key of the webhook's signature; none without a file.

    Raises:
        StartError: the file cannot be read, or holds too little to be a secret.
    """
    if file is None:
        return b""
    try:
        secret = file.read_bytes().strip()
    except OSError as error:
        raise StartError(
            f"cannot read the webhook's secret {file}: {error.strerror}", remedy="put it there, mode 0600"
        ) from error
    if len(secret) < _SHORTEST_SECRET:
        raise StartError(
            f"the webhook's secret {file} is shorter than {_SHORTEST_SECRET} bytes",
            remedy="write a random one: openssl rand -hex 32",
        )
    return secret


def write_file(path: Path, content: bytes) -> None:
    """Write what a command was asked for, whole or not at all, for its owner only.

    Raises:
        StartError: it cannot be written there.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise StartError(f"cannot write {path}: {error.strerror}", remedy="name another place") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, for its owner only, durable before it is seen."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
