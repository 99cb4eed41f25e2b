"""How upstreams are written, and what is wrong with them (config/upstreams.py)."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from filterd.config.load import load_config, undump
from filterd.config.upstreams import encrypted_upstream
from filterd.errors import ConfigError

RIGHT = {
    "tls://1.1.1.1#cloudflare-dns.com": ("1.1.1.1", 853, "tls", "cloudflare-dns.com", ""),
    "tls://1.1.1.1@8853#Cloudflare-DNS.com.": ("1.1.1.1", 8853, "tls", "cloudflare-dns.com", ""),
    "tls://1.1.1.1:8853#one.one": ("1.1.1.1", 8853, "tls", "one.one", ""),
    "TLS://2606:4700::1111#one.one": ("2606:4700::1111", 853, "tls", "one.one", ""),
    "tls://2606:4700::1111@853#one.one": ("2606:4700::1111", 853, "tls", "one.one", ""),
    "tls://[2606:4700::1111]:853#one.one": ("2606:4700::1111", 853, "tls", "one.one", ""),
    "tls://9.9.9.9": ("9.9.9.9", 853, "tls", "9.9.9.9", ""),
    "https://dns.quad9.net/dns-query@9.9.9.9": ("9.9.9.9", 443, "https", "dns.quad9.net", "/dns-query"),
    "https://dns.quad9.net:5053/dns-query@9.9.9.9": ("9.9.9.9", 5053, "https", "dns.quad9.net", "/dns-query"),
    "https://1.1.1.1/dns-query": ("1.1.1.1", 443, "https", "1.1.1.1", "/dns-query"),
    "https://dns.example/a/b@[2001:db8::1]": ("2001:db8::1", 443, "https", "dns.example", "/a/b"),
    "https://[2001:db8::1]/q": ("2001:db8::1", 443, "https", "2001:db8::1", "/q"),
}
WRONG = {
    "tls://dns.example": "'dns.example' is not an IP address; write tls://ADDRESS@853#NAME",
    "tls://1.1.1.1@99999#one.one": "'99999' is not a port",
    "tls://1.1.1.1@x#one.one": "'x' is not a port",
    "tls://1.1.1.1#one two": "is not a name to verify",
    "tls://": "'' is not an IP address",
    "https://dns.example/dns-query": "the address of dns.example is missing; write https://NAME/PATH@ADDRESS",
    "https://dns.example/dns-query@name": "'name' is not an IP address",
    "https://dns.example@1.1.1.1": "is not the path of a DoH service",
    "https://1.1.1.1": "is not the path of a DoH service",
    "quic://1.1.1.1": "an upstream is plain, tls:// or https://",
    "udp://1.1.1.1": "an upstream is plain, tls:// or https://",
}


@pytest.mark.parametrize("text", RIGHT)
def test_as_people_write_them(text):
    found = encrypted_upstream(text)
    assert (found.host, found.port, found.transport, found.name, found.path) == RIGHT[text]
    assert encrypted_upstream(str(found)) == found, "and as it is shown"


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_said(text):
    with pytest.raises(ValueError, match=WRONG[text].replace("(", r"\(")):
        encrypted_upstream(text)


@pytest.mark.parametrize("text", ["1.1.1.1", "1.1.1.1:53", "[::1]:53", "system"])
def test_plain_ones_are_left_to_others(text):
    assert encrypted_upstream(text) is None


@given(st.sampled_from(["tls://", "https://"]), st.text("1.:@#/[]a- %é\n", max_size=30))
def test_any_text_is_an_upstream_or_a_valueerror(scheme, rest):
    try:
        found = encrypted_upstream(scheme + rest)
    except ValueError:
        return
    assert found.secure
    assert found.name


def written(tmp_path, **keys):
    path = tmp_path / "filterd.yaml"
    path.write_text(yaml.safe_dump(keys))
    return load_config(path)


def test_a_configuration_travels_to_the_processes(tmp_path):
    config = written(
        tmp_path,
        upstreams=["tls://1.1.1.1#one.one", "https://9.9.9.9/dns-query"],
        zones={"school.lan": ["tls://192.0.2.1#dc.school.lan"]},
        upstream_ca_file="ca.pem",
    )
    for one in (config, undump(config.dump())):
        assert [str(found) for found in one.upstreams()] == [
            "tls://1.1.1.1@853#one.one",
            "https://9.9.9.9:443/dns-query@9.9.9.9",
        ]
        settings = one.resolver()
        assert settings.ca_file == str(tmp_path / "ca.pem")
        assert not settings.fallback
        assert all(server.secure for servers in settings.zones.values() for server in servers)


@pytest.mark.parametrize("plain", ["192.0.2.1", "system"])
def test_plain_ones_beside_encrypted_ones_are_no_accident(tmp_path, plain):
    """Never silently to plain: whoever wants that writes it."""
    with pytest.raises(ConfigError, match=r"mixes encrypted and plain ones.*upstream_fallback: plain"):
        written(tmp_path, upstreams=["tls://1.1.1.1#one.one", plain])
    both = written(tmp_path, upstreams=["tls://1.1.1.1#one.one", plain], upstream_fallback="plain")
    assert both.resolver().fallback


def test_a_fall_back_to_nothing_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="needs encrypted and plain upstreams side by side"):
        written(tmp_path, upstreams=["tls://1.1.1.1#one.one"], upstream_fallback="plain")


def test_a_zone_with_plain_servers_beside_encrypted_default_ones_is_right(tmp_path):
    """A school's directory service speaks plain DNS; it is another group."""
    written(tmp_path, upstreams=["tls://1.1.1.1#one.one"], zones={"school.lan": ["192.0.2.1"]})


def test_an_error_names_the_place(tmp_path):
    with pytest.raises(ConfigError) as caught:
        written(tmp_path, upstreams=["tls://dns.example"])
    assert caught.value.line
    assert "\n" not in str(caught.value)
