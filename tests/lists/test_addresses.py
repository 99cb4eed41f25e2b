"""Which addresses a list may come from."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from filterd.lists.addresses import is_public, may_connect, parsed


def words(text: str) -> list[str]:
    return text.split()


PUBLIC = words(
    """
8.8.8.8 193.49.48.249 2606:50c0:8000::154 2001:660:6101::1 64:ff9b::8.8.8.8 2002:808:808::1
    """
)
PRIVATE = words(
    """
0.0.0.0 10.0.0.1 100.64.0.1 127.0.0.1 169.254.169.254 172.16.0.1 192.0.0.1 192.0.2.1 192.168.1.1 198.18.0.1
198.51.100.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255 :: ::1 ::ffff:10.0.0.1 ::ffff:8.8.8.8 fc00::1
fd12::1 fe80::1 fec0::1 ff02::1 64:ff9b::10.0.0.1 64:ff9b:1::1 2002:a00:1::1 2002:7f00:1::1 2001:db8::1
2001::1 100::1 4000::1
    """
)


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses(text):
    assert is_public(ip_address(text))
    assert may_connect(ip_address(text))


@pytest.mark.parametrize("text", PRIVATE)
def test_private_special_and_wrapped_addresses(text):
    assert not is_public(ip_address(text))


def test_a_mapped_address_counts_as_what_it_wraps():
    assert may_connect(ip_address("::ffff:8.8.8.8"))
    assert not may_connect(ip_address("::ffff:10.0.0.1"))
    assert may_connect(ip_address("::ffff:10.0.0.1"), [ip_network("10.0.0.0/8")])


def test_an_allowed_range_allows_itself_alone():
    allowed = [ip_network("10.1.0.0/16"), ip_network("fd00::/8")]
    assert may_connect(ip_address("10.1.2.3"), allowed)
    assert may_connect(ip_address("fd00::1"), allowed)
    assert not may_connect(ip_address("10.2.0.1"), allowed)
    assert not may_connect(ip_address("127.0.0.1"), allowed)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("10.0.0.1", True),
        ("[::1]", True),
        ("fe80::1%eth0", True),
        ("lists.test", False),
        ("2130706433", False),
    ],
)
def test_literals_are_told_from_names(text, found):
    assert (parsed(text) is not None) is found
