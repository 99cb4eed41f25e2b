"""Upstream resolvers as people write them: text -> address, with an error that says what to write.

    192.0.2.1  192.0.2.1:5353  [2001:db8::1]:53      plain DNS
    tls://192.0.2.1@853#dns.example                  DNS over TLS, as in unbound's forward-addr
    https://dns.example/dns-query@192.0.2.1          DNS over HTTPS

The address is always written out: a name would have to be asked of somebody, and whoever answers that could
lead everything else astray. Pure.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from filterd.resolver.settings import UpstreamAddress

TLS, HTTPS = "tls://", "https://"
_SHOW_TLS = "write tls://ADDRESS@853#NAME, such as tls://1.1.1.1@853#cloudflare-dns.com"
_SHOW_HTTPS = "write https://NAME/PATH@ADDRESS, such as https://dns.quad9.net/dns-query@9.9.9.9"
HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*"
)
_PATH = re.compile(r"/[A-Za-z0-9/._~%!$&'()*+,;=:-]*")


def encrypted_upstream(text: str) -> UpstreamAddress | None:
    """Return an upstream over TLS or HTTPS; None if the text is neither.

    Raises:
        ValueError: it is meant to be one and is wrong; says what to write.
    """
    lower = text.lower()
    if lower.startswith(TLS):
        return _tls(text[len(TLS) :])
    if lower.startswith(HTTPS):
        return _https(text[len(HTTPS) :])
    if "://" in text:
        raise ValueError(f"{text!r}: an upstream is plain, tls:// or https://")
    return None


def _tls(text: str) -> UpstreamAddress:
    where, _, name = text.partition("#")
    host, _, port = where.partition("@")
    if not port:
        host, port = _host_port(host)
    address = _address(host, _SHOW_TLS)
    # Without a name the certificate has to be made out to the address itself, as those of 1.1.1.1 are.
    return UpstreamAddress(address, _port(port, 853), "tls", _name(name or address, _SHOW_TLS))


def _https(text: str) -> UpstreamAddress:
    url, at, host = text.rpartition("@")
    if not at:
        url, host = text, ""
    authority, slash, path = url.partition("/")
    name, port = _host_port(authority)
    path = slash + path
    if not slash or not _PATH.fullmatch(path):
        raise ValueError(f"{path!r} is not the path of a DoH service; {_SHOW_HTTPS}")
    try:
        address = _address(host or name, _SHOW_HTTPS)
    except ValueError:
        if host:
            raise
        raise ValueError(f"the address of {name} is missing; {_SHOW_HTTPS}") from None
    return UpstreamAddress(address, _port(port, 443), "https", _name(name, _SHOW_HTTPS), path)


def _host_port(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, rest.removeprefix(":")
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, port
    return text, ""


def _address(text: str, show: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address; {show}") from None


def _port(text: str, usual: int) -> int:
    if not text:
        return usual
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 0 < int(text) < 65_536):
        raise ValueError(f"{text!r} is not a port (1-65535)")
    return int(text)


def _name(text: str, show: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        pass
    if not HOST_NAME.fullmatch(text.rstrip(".")):
        raise ValueError(f"{text!r} is not a name to verify; {show}")
    return text.rstrip(".").lower()


def mixed(upstreams: Sequence[object]) -> tuple[bool, bool]:
    """Return whether encrypted, and whether plain upstreams are among them."""
    secure = [isinstance(one, UpstreamAddress) and one.secure for one in upstreams]
    return any(secure), not all(secure)
