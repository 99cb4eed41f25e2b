from __future__ import annotations

import dataclasses

import pytest

from filterd.resolver.settings import CANARIES, DAY, ResolverSettings, UpstreamAddress
from filterd.wire import names


def test_the_defaults_are_valid_and_frozen():
    settings = ResolverSettings()
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.deadline = 1


def test_the_defaults_keep_the_promises_of_the_protocol():
    settings = ResolverSettings()
    assert settings.deadline < 2
    assert settings.stale_after <= 1.8  # RFC 8767 section 5
    assert settings.stale_ttl == 30  # RFC 8767 section 4
    assert DAY <= settings.stale_for <= 3 * DAY
    assert settings.max_ttl <= DAY
    assert 1 <= settings.failure_ttl <= 300  # RFC 9520 section 3.2
    assert names.from_text("use-application-dns.net") in CANARIES


@pytest.mark.parametrize("host", ["dns.google", "", "300.1.1.1", "1.1.1.1:53", "fe80::1%eth0%x"])
def test_an_upstream_is_an_address(host):
    with pytest.raises(ValueError, match="address"):
        UpstreamAddress(host)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_is_a_port(port):
    with pytest.raises(ValueError, match="1-65535"):
        UpstreamAddress("192.0.2.1", port)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("deadline", 0),
        ("fetch_timeout", 0),
        ("max_flights", 0),
        ("cache_bytes", 1000),
        ("max_ttl", 8 * DAY),
        ("negative_ttl", 0),
        ("failure_ttl", 0.5),
        ("failure_ttl", 301),
        ("stale_for", 3 * DAY + 1),
        ("stale_ttl", 0),
        ("tunnel_names", 0),
    ],
)
def test_what_is_out_of_range_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}, allowed is"):
        ResolverSettings(**{name: value})


def test_a_stale_answer_must_come_in_time():
    with pytest.raises(ValueError, match="too late"):
        ResolverSettings(deadline=1.0, stale_after=1.5)


def test_a_zone_needs_an_upstream():
    with pytest.raises(ValueError, match=r"zone school\.lan has no upstream"):
        ResolverSettings(zones={names.from_text("school.lan"): ()})
