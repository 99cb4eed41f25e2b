"""The table in this machine's kernel, through ``nft``: load, look, take back; never a table of others."""

from __future__ import annotations

import shutil
import subprocess

from filterd.errors import GatewayError
from filterd.gateway.ruleset import TABLE, alive

_SECONDS = 30.0
_ABSENT = "No such file or directory"


def check(text: str) -> None:
    """Let nft read a rule set without loading it.

    Raises:
        GatewayError: nft is missing or does not understand it.
    """
    _nft("--check", "--file", "-", given=text)


def load(text: str) -> None:
    """Put a rule set in the place of ours, in one transaction.

    Raises:
        GatewayError: it was not loaded; what was before stays.
    """
    _nft("--file", "-", given=text)


def loaded() -> str | None:
    """Return our table as ``nft`` prints it, None when it is not there.

    Raises:
        GatewayError: nft is missing, or this user may not ask.
    """
    try:
        return _nft("--stateless", "list", "table", "inet", TABLE)
    except GatewayError as error:
        if _ABSENT in error.message:
            return None
        raise


def restore(before: str | None) -> None:
    """Bring back what `loaded` returned.

    Raises:
        GatewayError: it could not be loaded.
    """
    if before is None:
        remove()
    else:
        load(f"table inet {TABLE}\ndelete table inet {TABLE}\n{before}")


def remove() -> None:
    """Take our table away; that it is not there is no error.

    Raises:
        GatewayError: this user may not.
    """
    load(f"table inet {TABLE}\ndelete table inet {TABLE}\n")


def say_alive() -> None:
    """Note in the table that the filter answers.

    Raises:
        GatewayError: the table is not there, or this user may not.
    """
    load(alive())


def _nft(*words: str, given: str | None = None) -> str:
    program = shutil.which("nft") or shutil.which("nft", path="/usr/sbin:/sbin")
    if program is None:
        raise GatewayError("nft is not installed", remedy="sudo apt-get install nftables")
    try:
        done = subprocess.run(  # noqa: S603 - a program of the system, words of ours
            [program, *words], input=given, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GatewayError(f"nft could not be run: {error}") from error
    if done.returncode == 0:
        return done.stdout
    said = " ".join(done.stderr.split())[:300]
    if "Operation not permitted" in said or "must be root" in said:
        raise GatewayError("only root may change the firewall", remedy="run it with sudo")
    raise GatewayError(f"nft refused: {said}", remedy="look at `filterd gateway rules`")
