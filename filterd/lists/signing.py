"""Keys and signatures of bundles: Ed25519 (RFC 8032), by a library; nothing of it is ours.

A private key stays with the region, in a file for its owner only. Boxes know public keys alone.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from filterd.errors import BundleError

PrivateKey: TypeAlias = Ed25519PrivateKey
UNSIGNED: Final = b"unsigned\n"  # stands in the place of a signature that is still to come


def keygen(path: Path) -> str:
    """Write a new private key (PKCS 8, PEM, for its owner only) and return the public one in base64.

    Raises:
        BundleError: there is a file already, or it cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise BundleError(f"{path} cannot be written: {error.strerror}", remedy="name a new file") from error
    return public_text(key)


def public_text(key: PrivateKey) -> str:
    """Return the public half of a key as it stands in filterd.yaml."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def read_key(path: Path) -> Ed25519PrivateKey:
    """Return the private key in a file.

    Raises:
        BundleError: it cannot be read, or is no Ed25519 key.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise BundleError(
            f"{path} holds no private key: {error}", remedy="`filterd bundle keygen` makes one"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BundleError(f"{path} is not an Ed25519 key", remedy="`filterd bundle keygen` makes one")
    return key


def signature_of(content: bytes, key: PrivateKey) -> bytes:
    """Return the signature of some bytes as a line of text."""
    return base64.b64encode(key.sign(content)) + b"\n"


def check_signature(signed: bytes, signature: bytes, keys: Iterable[str]) -> None:
    """Check a line made by `signature_of`.

    Args:
        signed: the bytes.
        signature: the line.
        keys: public keys in base64, any of which may have made it.

    Raises:
        BundleError: none of them did.
    """
    if signature == UNSIGNED:
        raise BundleError("the bundle is not signed", remedy="`filterd bundle sign` signs it")
    try:
        raw = base64.b64decode(signature.strip(), validate=True)
    except ValueError as error:
        raise BundleError("the signature is damaged") from error
    for key in keys:
        try:
            Ed25519PublicKey.from_public_bytes(base64.b64decode(key, validate=True)).verify(raw, signed)
        except (InvalidSignature, ValueError):
            continue
        return
    raise BundleError(
        "the bundle is not signed by a key that is trusted here", remedy="see lists.bundle.keys"
    )
