from __future__ import annotations

import ipaddress

import pytest

from filterd.wire import cookies

SECRET = bytes.fromhex("e5e973e5a6b2a43f48e7dc849e37bfcf")
CLIENT = bytes.fromhex("2464c4abcf10c957")
ADDRESS = ipaddress.ip_address("198.51.100.100").packed
NOW = 1559731985


def test_rfc_9018_appendix_a1_learning_a_new_server_cookie():
    expected = bytes.fromhex("2464c4abcf10c957010000005cf79f111f8130c3eee29480")
    assert cookies.make(CLIENT, ADDRESS, SECRET, NOW) == expected


def test_rfc_9018_appendix_a2_renewed_after_forty_minutes():
    old = bytes.fromhex("2464c4abcf10c957010000005cf79f111f8130c3eee29480")
    now = 1559734385
    assert cookies.check(old, ADDRESS, SECRET, now)
    fresh = bytes.fromhex("2464c4abcf10c957010000005cf7a871d4a564a1442aca77")
    assert cookies.make(old, ADDRESS, SECRET, now) == fresh


def test_rfc_9018_appendix_a3_reserved_bits_of_another_server_count_as_received():
    client = bytes.fromhex("fc93fc62807ddb86")
    foreign = bytes.fromhex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5")
    address = ipaddress.ip_address("203.0.113.203").packed
    now = 1559734700
    made_at = int.from_bytes(foreign[12:16], "big")
    assert cookies.check(foreign, address, SECRET, made_at + 3600)
    assert not cookies.check(foreign, address, SECRET, now)  # 6,875 s old
    renewed = bytes.fromhex("fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e")
    assert cookies.make(client, address, SECRET, now) == renewed


def test_rfc_9018_section_4_2_only_version_1():
    made = bytearray(cookies.make(CLIENT, ADDRESS, SECRET, NOW))
    made[8] = 2
    made[16:] = cookies._hash(bytes(made[:16]), ADDRESS, SECRET)
    assert not cookies.check(bytes(made), ADDRESS, SECRET, NOW)


def test_rfc_9018_appendix_a4_ipv6_and_a_new_secret():
    old_secret = bytes.fromhex("dd3bdf9344b678b185a6f5cb60fca715")
    new_secret = bytes.fromhex("445536bcd2513298075a5d379663c962")
    address = ipaddress.ip_address("2001:db8:220:1:59de:d0f4:8769:82b8").packed
    old = bytes.fromhex("22681ab97d52c298010000005cf7c57926556bd0934c72f8")
    now = 1559741961
    assert cookies.check(old, address, old_secret, now)
    assert not cookies.check(old, address, new_secret, now)
    renewed = bytes.fromhex("22681ab97d52c298010000005cf7c609a6bb79d16625507a")
    assert cookies.make(old, address, new_secret, now) == renewed


@pytest.mark.parametrize(
    ("age", "good"),
    [(0, True), (3600, True), (3601, False), (-300, True), (-301, False), (86400 * 365, False)],
)
def test_rfc_9018_section_4_3_good_for_an_hour_and_five_minutes_ahead(age, good):
    made = cookies.make(CLIENT, ADDRESS, SECRET, NOW)
    assert cookies.check(made, ADDRESS, SECRET, NOW + age) is good


def test_rfc_1982_time_may_come_round():
    made = cookies.make(CLIENT, ADDRESS, SECRET, 0xFFFFFFF0)
    assert cookies.check(made, ADDRESS, SECRET, 0x100000010)
    assert cookies.check(made, ADDRESS, SECRET, 0x10)


@pytest.mark.parametrize("length", [0, 8, 16, 23, 25, 40])
def test_other_lengths_are_never_ours(length):
    assert not cookies.check(
        cookies.make(CLIENT, ADDRESS, SECRET, NOW)[:length].ljust(length), ADDRESS, SECRET, NOW
    )


def test_every_bit_of_the_cookie_and_the_address_count():
    made = cookies.make(CLIENT, ADDRESS, SECRET, NOW)
    for bit in range(8 * len(made)):
        forged = bytearray(made)
        forged[bit // 8] ^= 1 << bit % 8
        assert not cookies.check(bytes(forged), ADDRESS, SECRET, NOW)
    assert not cookies.check(made, ipaddress.ip_address("198.51.100.101").packed, SECRET, NOW)
