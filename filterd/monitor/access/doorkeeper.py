"""Who is calling: a box by its token or certificate, an admin by token or by being on this machine.

Pure: takes header values, the peer's address and what TLS proved, decides, raises. Tokens are only ever
compared as SHA-256 digests; no token is kept, logged or echoed.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from filterd.monitor.access.directory import Directory, Pass
from filterd.monitor.problems import Problem, unauthorized
from filterd.monitor.settings import MonitorSettings

_MAX_TOKEN = 512
_FORWARDED = ("forwarded", "via", "x-real-ip")  # and every X-Forwarded-*
_SAME_SITE = frozenset({"none", "same-origin"})


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request says about its sender.

    Args:
        peer: the peer's address as text, ``""`` when unknown.
        headers: header name in lower case -> values in order.
        certified: the common names of a client certificate that TLS has verified.
    """

    peer: str
    headers: Mapping[str, Sequence[str]]
    certified: tuple[str, ...] = ()

    def one(self, name: str) -> str | None:
        """Return the header's value when it is there exactly once, else ``None``."""
        values = self.headers.get(name, ())
        return values[0] if len(values) == 1 else None


class Doorkeeper:
    """Decides who may do what."""

    def __init__(self, settings: MonitorSettings) -> None:
        self._settings = settings

    def box(self, caller: Caller, directory: Directory, now: float) -> tuple[str, str]:
        """Return (box, school) of the box that calls.

        A certificate that our authority signed for the box stands for its token; a token sent with it must be
        the same box's.

        Raises:
            Problem: 401 without a known box token or certificate.
        """
        tls = self._settings.tls
        if tls is not None and tls.client == "required" and not caller.certified and not _is_here(caller):
            raise unauthorized("there is no client certificate", remedy="give the box its certificate")
        if caller.certified and "authorization" not in caller.headers:
            return _certified(caller, directory, now)
        found = self.pass_of(caller, directory, now)
        if found is None:
            raise unauthorized(
                "no box has this token",
                remedy="check the box's token and that this endpoint lists the box",
            )
        if caller.certified and caller.certified != (found.box,):
            raise unauthorized("the certificate is another box's than the token", remedy="check both")
        return found.box, found.school

    def pass_of(self, caller: Caller, directory: Directory, now: float) -> Pass | None:
        """Return the token by which a box calls; None when no box has it.

        Raises:
            Problem: 401 without a bearer token.
        """
        return directory.pass_of(_digest(caller), now)

    def holder(self, caller: Caller, directory: Directory, now: float) -> str:
        """Return who has shown a right to call, ``""`` for nobody: what rate limits go by.

        Never raises: a wrong token is nobody's.
        """
        try:
            digest = _digest(caller)
        except Problem:
            digest = ""
        if digest and digest in {self._settings.admin_token_sha256, self._settings.metrics_token_sha256}:
            return digest
        found = directory.pass_of(digest, now)
        if found is not None:
            return f"box {found.box}"
        if not digest and len(caller.certified) == 1 and caller.certified[0] in directory.boxes(now):
            return f"box {caller.certified[0]}"
        return ""

    def admin(self, caller: Caller) -> None:
        """Let an admin through.

        Raises:
            Problem: 401 for a wrong or missing token, 403 for a caller on this machine whose request may
                have been made by another site or came through a proxy.
        """
        if "authorization" in caller.headers:
            self._token(caller, self._settings.admin_token_sha256)
        elif self._settings.local_admin and _is_loopback(caller.peer):
            _check_local(caller)
        else:
            raise unauthorized(
                "this needs the admin's token",
                remedy="send Authorization: Bearer TOKEN"
                + (", or ask from the monitor's own machine" if self._settings.local_admin else ""),
            )

    def metrics(self, caller: Caller) -> None:
        """Let a scraper through: everybody, unless a metrics token is set.

        Raises:
            Problem: 401 or 403 as for ``admin``.
        """
        wanted = self._settings.metrics_token_sha256
        if wanted is None:
            return
        if "authorization" in caller.headers and hmac.compare_digest(_digest(caller), wanted):
            return
        self.admin(caller)

    def _token(self, caller: Caller, wanted: str | None) -> None:
        if not hmac.compare_digest(_digest(caller), wanted or "0" * 64) or wanted is None:
            raise unauthorized("this is not the admin's token", remedy="check the token")


def _certified(caller: Caller, directory: Directory, now: float) -> tuple[str, str]:
    """Return the box of a client certificate: its subject has one common name, the box's id."""
    school = directory.boxes(now).get(caller.certified[0]) if len(caller.certified) == 1 else None
    if school is None:
        raise unauthorized(
            "no box has the name in this certificate", remedy="the subject's one common name is the box's id"
        )
    return caller.certified[0], school


def _is_here(caller: Caller) -> bool:
    """Tell whether the caller is a program of this machine, as the box of `filterd run` is."""
    forwarded = any(name in _FORWARDED or name.startswith("x-forwarded") for name in caller.headers)
    return _is_loopback(caller.peer) and not forwarded


def _digest(caller: Caller) -> str:
    """Return the SHA-256 hex of the bearer token (RFC 6750 section 2.1); of nothing when there is none."""
    value = caller.one("authorization") or ""
    scheme, _, token = value.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > _MAX_TOKEN:
        raise unauthorized("there is no bearer token", remedy="send Authorization: Bearer TOKEN")
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _check_local(caller: Caller) -> None:
    """Refuse a local request that a web page or a proxy may have made.

    A page of any site can make the admin's browser ask 127.0.0.1, and after DNS rebinding even read the
    answer; then the Host header bears the site's name, and Sec-Fetch-Site tells a request from another site.
    """
    proxied = [n for n in caller.headers if n in _FORWARDED or n.startswith("x-forwarded")]
    if proxied:
        raise Problem(
            403,
            "proxied",
            f"the request came through a proxy ({proxied[0]}), so nobody here knows who asks",
            remedy="use the admin's token",
        )
    if not _is_loopback_host(caller.one("host")):
        raise Problem(
            403,
            "foreign-host",
            "the Host header is not a name of this machine's loopback",
            remedy="ask for http://127.0.0.1:PORT/ or http://localhost:PORT/, or use the admin's token",
        )
    site = caller.headers.get("sec-fetch-site", ())
    if any(value not in _SAME_SITE for value in site):
        raise Problem(
            403,
            "foreign-site",
            "a page of another site made this request",
            remedy="open the address yourself",
        )


def _is_loopback(peer: str) -> bool:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _is_loopback_host(host: str | None) -> bool:
    """Tell whether a Host header (RFC 9110 section 7.2) is localhost or a loopback literal."""
    if host is None:
        return False
    name, bracket, rest = host.partition("]") if host.startswith("[") else host.partition(":")
    if host.startswith("[") and not bracket:
        return False
    port = rest.removeprefix(":") if bracket == "]" else rest
    if (bracket == "]" and rest and not rest.startswith(":")) or (port and not port.isdigit()):
        return False
    name = name.removeprefix("[")
    return name.lower().removesuffix(".") == "localhost" or _is_loopback(name)
