from __future__ import annotations

import ipaddress

import pytest

from filterd.rules.clients import Device
from filterd.server.clients import Clients, packed, private_networks
from filterd.server.settings import Endpoint, ServerSettings


def table(group_of=lambda _address, _device: "all", device_of=lambda _address: Device(), **settings):
    settings.setdefault("allow_clients", private_networks())
    return Clients(ServerSettings(listen=(Endpoint("127.0.0.1", 0),), **settings), group_of, device_of)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", bytes((192, 0, 2, 1))),
        ("::ffff:192.0.2.1", bytes((192, 0, 2, 1))),
        ("2001:db8::1", ipaddress.ip_address("2001:db8::1").packed),
        ("fe80::1%eth0", ipaddress.ip_address("fe80::1").packed),
    ],
)
def test_addresses_are_packed_as_the_policy_knows_them(text, expected):
    assert packed(text) == expected


@pytest.mark.parametrize("inside", ["127.0.0.1", "10.1.2.3", "192.168.9.9", "fd00::1", "fe80::1%eth0", "::1"])
def test_private_clients_are_permitted_by_default(inside):
    assert table().get(inside, 0.0).permitted


@pytest.mark.parametrize("outside", ["8.8.8.8", "192.169.0.1", "2001:db8::1", "::2"])
def test_5358_a_public_client_is_not_permitted(outside):
    assert not table().get(outside, 0.0).permitted


def test_a_client_keeps_its_state():
    clients = table()
    assert clients.get("10.0.0.1", 0.0) is clients.get("10.0.0.1", 1.0)


def test_what_is_known_of_the_device_goes_to_the_policy():
    seen = []
    laptop = Device(b"\x02" * 6, "pc-7", "br0")
    clients = table(
        group_of=lambda address, device: seen.append((address, device)) or "g", device_of=lambda _a: laptop
    )
    client = clients.get("10.0.0.1", 0.0)
    assert (client.group, client.mac) == ("g", b"\x02" * 6)
    assert seen == [(bytes((10, 0, 0, 1)), laptop)]


def test_a_new_policy_regroups_known_clients():
    clients = table()
    client = clients.get("10.0.0.1", 0.0)
    clients.regroup(lambda _address, _device: "other")
    assert client.group == "other"


def test_the_table_is_bounded_and_counts_what_it_forgets():
    clients = Clients(
        ServerSettings(listen=(), allow_clients=()), lambda _a, _d: "g", lambda _a: Device(), maximum=64
    )
    busy = clients.get("10.0.0.1", 0.0)
    busy.in_flight = 1
    for number in range(1000):
        clients.get(str(ipaddress.ip_address(0x0A000100 + number)), 0.0)
    assert len(clients) <= 64
    assert clients.forgotten >= 1000 - 64
    assert clients.get("10.0.0.1", 0.0) is busy, "a client with lookups in flight is never forgotten"


def test_an_ipv6_host_cannot_multiply_its_bucket_within_its_64():
    clients = table()
    one, two = clients.get("fd00::1", 0.0), clients.get("fd00::2", 0.0)
    assert one.bucket is two.bucket
    assert clients.get("fd00:0:0:1::1", 0.0).bucket is not one.bucket


@pytest.mark.parametrize("text", ["10.0.0.1", "::ffff:10.0.0.1", "fd00::1"])
def test_recent_lookups_are_those_of_the_latest_two_spans(text):
    clients = table()
    client = clients.get(text, 0.0)
    assert clients.recent(packed(text)) == 0
    seen = []
    for asked in (5, 7, 0, 0):
        client.asked[0] += asked
        seen.append(clients.recent(packed(text)))
        clients.mark()
    assert seen == [5, 12, 7, 0]


def test_a_client_that_is_not_known_asked_nothing():
    assert table().recent(b"\x0a\x00\x00\x01") == 0
