"""The section `encrypted`: what it becomes for listeners and for discovery (RFC 9462)."""

from __future__ import annotations

import socket

import pytest
import yaml

from filterd.config.load import load_config
from filterd.errors import ConfigError
from filterd.server.settings import Endpoint
from filterd.wire import names

LAN = {
    "certificate": "certs/fullchain.pem",
    "key": "certs/privkey.pem",
    "name": "dns.school.kz",
    "dot": ["192.168.1.1:853", "fd00::1"],
    "doh": ["192.168.1.1"],
}


def written(tmp_path, **keys):
    path = tmp_path / "filterd.yaml"
    path.write_text(yaml.safe_dump(keys))
    return load_config(path)


def test_what_the_listeners_get(tmp_path):
    found = written(tmp_path, encrypted=LAN, limits={"tls_connections": 7, "tls_idle": 3}).server().encrypted
    assert found.certificate == str(tmp_path / "certs/fullchain.pem")
    assert found.name == "dns.school.kz"
    assert found.dot == (Endpoint("192.168.1.1", 853), Endpoint("fd00::1", 853))
    assert found.doh == (Endpoint("192.168.1.1", 443),)
    assert found.path == "/dns-query"
    assert (found.limits.connections, found.limits.idle) == (7, 3)


def test_none_configured_none_told(tmp_path):
    config = written(tmp_path)
    assert config.server().encrypted is None
    assert config.resolver().designations == ()
    assert config.resolver().designated_names == frozenset()


def test_9462_what_clients_are_told(tmp_path):
    settings = written(tmp_path, encrypted=LAN).resolver()
    assert settings.designated_names == {
        names.from_text("_dns.resolver.arpa"),
        names.from_text("_dns.dns.school.kz"),
    }
    first, second = settings.designations
    v4, v6 = socket.inet_aton("192.168.1.1"), socket.inet_pton(socket.AF_INET6, "fd00::1")
    assert (first.alpn, first.port, first.addresses, first.path) == ("h2", 443, (v4,), "/dns-query")
    assert (second.alpn, second.port, second.addresses, second.path) == ("dot", 853, (v4, v6), "")
    assert settings.local_names[names.from_text("dns.school.kz")] == (v4, v6)


def test_a_listener_on_every_address_gives_no_hints(tmp_path):
    settings = written(tmp_path, encrypted={**LAN, "dot": ["0.0.0.0:853", "[::]:853"], "doh": []}).resolver()
    (only,) = settings.designations
    assert only.addresses == ()
    assert names.from_text("dns.school.kz") not in settings.local_names


def test_what_the_admin_says_of_the_name_holds(tmp_path):
    settings = written(tmp_path, encrypted=LAN, local_names={"dns.school.kz": ["192.0.2.9"]}).resolver()
    assert settings.local_names[names.from_text("dns.school.kz")] == (socket.inet_aton("192.0.2.9"),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dot": [], "doh": []}, "give at least one address"),
        ({"name": "no name"}, "is not a domain name"),
        ({"path": "dns-query"}, "path"),
        ({"path": "/dns{?dns}"}, "path"),
        ({"dot": ["dns.school.kz:853"]}, "is not an IP address"),
        ({"key": None}, "key"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, change, message):
    with pytest.raises(ConfigError, match=message) as caught:
        written(tmp_path, encrypted={**LAN, **change})
    assert "\n" not in str(caught.value)
