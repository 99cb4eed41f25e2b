"""A bundle: policy and lists of a region in one signed file that any web server and cache can carry.

    filterd-bundle/1
    <header, one line of JSON: serial, when, who, and for each part its name, sizes and SHA-256>
    <Ed25519 signature of the two lines above, in base64>
    <the parts, each packed with gzip, one after the other>

The signature is checked before anything else of the file is believed, the checksum of a part before it is
used. Part names follow a strict pattern and become paths of our own making. What a bundle means for a box is
bundlestore.py's and the composition root's.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from filterd.errors import BundleError
from filterd.lists.archive import inflate
from filterd.lists.limits import MIB
from filterd.lists.signing import UNSIGNED, PrivateKey, check_signature, signature_of

MAGIC: Final = b"filterd-bundle/1\n"
MAX_HEADER: Final = 1 * MIB
MAX_PARTS: Final = 5000
MAX_PART: Final = 512 * MIB
MAX_BUNDLE: Final = 1024 * MIB
_BLOCK: Final = 1 << 18
# Parts of lower-case words, at most four deep, none of which begins with a dot; nothing else becomes a path.
PART_NAME: Final = r"^[a-z0-9_-]+(/[a-z0-9_-]+){0,3}(\.(yaml|txt|ics|json))?$"
_PART_NAME: Final = re.compile(PART_NAME)
_GZIP_LEVEL: Final = 9

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Part(_Model):
    """One file in a bundle: its name, its size in bytes, its size as packed, the SHA-256 of its content."""

    name: Annotated[str, StringConstraints(pattern=PART_NAME, max_length=200)]
    size: Annotated[int, Field(ge=0, le=MAX_PART)]
    packed: Annotated[int, Field(ge=1, le=MAX_PART)]
    sha256: Sha256


class Header(_Model):
    """What a bundle says of itself.

    Attributes:
        serial: grows with every bundle of a region; a box takes no older one.
        made_at: UTC seconds.
        region: id of the region.
        by: who made it.
        note: what is new, in a sentence; may be empty.
        parts: in the order in which they stand.
    """

    serial: Annotated[int, Field(ge=1, le=2**53)]
    made_at: Annotated[int, Field(ge=0, le=2**40)]
    region: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    by: Annotated[str, StringConstraints(max_length=200)] = ""
    note: Annotated[str, StringConstraints(max_length=1000)] = ""
    parts: Annotated[list[Part], Field(min_length=1, max_length=MAX_PARTS)]


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle whose signature was found right.

    Attributes:
        path: the file.
        header: what it says of itself.
        digest: SHA-256 of the signed lines, in hex: the identity of the bundle.
        begins: where the first part begins, in bytes.
    """

    path: Path
    header: Header
    digest: str
    begins: int


def write_bundle(
    target: Path, contents: Mapping[str, bytes | Path], about: Mapping[str, str | int]
) -> Header:
    """Write an unsigned bundle.

    Args:
        target: the file to make.
        contents: the parts, by name: their bytes, or the file that holds them.
        about: ``serial``, ``made_at``, ``region``, ``by`` and ``note`` of the header.

    Raises:
        BundleError: a part has a wrong name or is too large, or the file cannot be written.
    """
    scratch = target.with_name(f".{target.name}.parts")
    try:
        with scratch.open("w+b") as packed:
            parts = [_pack(name, contents[name], packed) for name in sorted(contents)]
            try:
                header = Header.model_validate({**about, "parts": parts})
            except ValidationError as error:
                raise BundleError(f"cannot be a bundle: {error.errors()[0]['msg']}") from error
            packed.seek(0)
            _write(target, header.model_dump_json().encode() + b"\n", UNSIGNED, packed)
    except OSError as error:
        raise BundleError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        scratch.unlink(missing_ok=True)
    return header


def _pack(name: str, content: bytes | Path, target: BinaryIO) -> Part:
    if not _PART_NAME.fullmatch(name):
        raise BundleError(f"{name!r} cannot be the name of a part", remedy="use a-z, 0-9, - and _")
    begun = target.tell()
    digest = hashlib.sha256()
    size = 0
    # No time and no name in the header: the same content gives the same bytes.
    with gzip.GzipFile(filename="", fileobj=target, mode="wb", compresslevel=_GZIP_LEVEL, mtime=0) as packed:
        for block in _blocks(content):
            digest.update(block)
            size += len(block)
            packed.write(block)
    return Part(name=name, size=size, packed=target.tell() - begun, sha256=digest.hexdigest())


def _blocks(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _write(target: Path, header: bytes, signature: bytes, parts: BinaryIO) -> None:
    temporary = target.with_name(f".{target.name}.new")
    try:
        with temporary.open("wb") as file:
            file.write(MAGIC + header + signature)
            while block := parts.read(_BLOCK):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def sign(path: Path, key: PrivateKey, target: Path) -> Header:
    """Write the bundle with a signature; the key need never be where the bundle is built.

    Raises:
        BundleError: it is no bundle, or the file cannot be written.
    """
    try:
        with path.open("rb") as file:
            header, _ = _head(file)
            _write(target, header, signature_of(MAGIC + header, key), file)
    except OSError as error:
        raise BundleError(f"{target} cannot be written: {error.strerror or error}") from error
    return _parsed(header)


def open_bundle(path: Path, keys: list[str]) -> Opened:
    """Return a bundle whose signature is right; its parts are still to be checked.

    Args:
        path: the file.
        keys: public keys in base64, any of which may have signed it.

    Raises:
        BundleError: it is no bundle, or was signed by nobody trusted here.
    """
    try:
        with path.open("rb") as file:
            header, signature = _head(file)
            begins = file.tell()
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}") from error
    check_signature(MAGIC + header, signature, keys)
    return Opened(path, _parsed(header), hashlib.sha256(MAGIC + header).hexdigest(), begins)


def _head(file: BinaryIO) -> tuple[bytes, bytes]:
    if file.read(len(MAGIC)) != MAGIC:
        raise BundleError("not a bundle")
    header, signature = file.readline(MAX_HEADER), file.readline(200)
    if not header.endswith(b"\n") or not signature.endswith(b"\n"):
        raise BundleError("the bundle is cut or damaged")
    return header, signature


def _parsed(header: bytes) -> Header:
    try:
        found = Header.model_validate_json(header)
    except ValidationError as error:
        raise BundleError(f"the header says what it may not: {error.errors()[0]['msg']}") from error
    if len({part.name for part in found.parts}) != len(found.parts):
        raise BundleError("the header names a part twice")
    return found


def contents(opened: Opened) -> Iterator[tuple[Part, Iterator[bytes]]]:
    """Yield each part with its content, block by block; every content must be read to its end.

    Raises:
        BundleError: a part is not what the signed header says, or the file is cut or longer.
    """
    try:
        with opened.path.open("rb") as file:
            file.seek(opened.begins)
            for part in opened.header.parts:
                yield part, _content(part, file)
            if file.read(1):
                raise BundleError("the bundle is longer than its header says")
    except OSError as error:
        raise BundleError(f"{opened.path} cannot be read: {error.strerror or error}") from error


def _content(part: Part, file: BinaryIO) -> Iterator[bytes]:
    digest = hashlib.sha256()
    engine = zlib.decompressobj(wbits=31)
    size, left = 0, part.packed
    while left:
        block = file.read(min(left, _BLOCK))
        if not block:
            raise BundleError(f"the bundle is cut in {part.name}")
        left -= len(block)
        for out in _unpacked(engine, block, part):
            size += len(out)
            if size > part.size:
                raise BundleError(f"{part.name} is larger than the header says")
            digest.update(out)
            yield out
    if not engine.eof or size != part.size or digest.hexdigest() != part.sha256:
        raise BundleError(f"{part.name} is not what the header says")


def _unpacked(engine: zlib._Decompress, block: bytes, part: Part) -> Iterator[bytes]:
    try:
        yield from inflate(engine, block)
    except zlib.error as error:
        raise BundleError(f"{part.name} is damaged") from error
    if engine.unused_data:
        raise BundleError(f"{part.name} is not what the header says")


def check(opened: Opened) -> None:
    """Read every part and compare it with the header.

    Raises:
        BundleError: as of `contents`.
    """
    for _, blocks in contents(opened):
        for _ in blocks:
            pass
