from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.errors import PolicyError
from filterd.rules.clients import Clients, Device, lease_name, parse_client
from filterd.rules.yamlsource import Place

HERE = Place("school.yaml", 7, 9)


def clients(**groups: list[str]) -> Clients:
    rules = [
        parse_client(text, group, Place("school.yaml", line, 9))
        for line, (group, text) in enumerate(
            ((group, text) for group, texts in groups.items() for text in texts), 1
        )
    ]
    return Clients(rules, default="rest")


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


def test_the_longest_prefix_wins() -> None:
    table = clients(
        school=["10.0.0.0/8", "2001:db8::/32"], room=["10.5.0.0/16", "2001:db8:5::/48"], desk=["10.5.0.7"]
    )
    assert table.group_of(packed("10.1.1.1")) == "school"
    assert table.group_of(packed("10.5.1.1")) == "room"
    assert table.group_of(packed("10.5.0.7")) == "desk"
    assert table.group_of(packed("2001:db8:1::1")) == "school"
    assert table.group_of(packed("2001:db8:5::1")) == "room"
    assert table.group_of(packed("192.0.2.1")) == "rest"
    assert table.group_of(packed("2001:db9::1")) == "rest"


def test_ipv4_mapped_ipv6_is_ipv4() -> None:
    table = clients(four=["10.5.0.0/16"], all_six=["::/0"])
    assert table.group_of(packed("::ffff:10.5.0.1")) == "four"
    assert table.group_of(packed("::ffff:10.6.0.1")) == "rest"
    assert table.group_of(packed("::10.5.0.1")) == "all_six"
    written = clients(mapped=["::ffff:10.5.0.0/112"])
    assert written.group_of(packed("10.5.0.1")) == "mapped"
    assert written.rules[0].text == "10.5.0.0/16"


def test_a_mac_beats_every_address() -> None:
    table = clients(room=["10.5.0.0/16"], desk=["10.5.0.7"], laptop=["02:42:AC:11:00:02"])
    laptop = Device(bytes.fromhex("0242ac110002"), "pc-lab-07", "br0")
    assert table.group_of(packed("10.5.0.7"), laptop) == "laptop"
    assert table.group_of(packed("192.0.2.1"), laptop) == "laptop"
    assert table.group_of(packed("10.5.0.7"), Device(b"\x02" * 6)) == "desk"
    assert table.group_of(packed("10.5.0.7"), Device()) == "desk"


def test_the_narrowest_kind_counts() -> None:
    table = clients(
        laptop=["02:42:ac:11:00:02"],
        seven=["lease:pc-lab-07"],
        lab=["lease:pc-lab-*"],
        named=["lease:*"],
        desk=["10.5.0.7"],
        wifi=["interface:wlan0"],
    )
    mac = bytes.fromhex("0242ac110002")
    desk, other = packed("10.5.0.7"), packed("192.0.2.1")
    cases = (
        (desk, Device(mac, "pc-lab-07", "wlan0"), "laptop"),
        (desk, Device(b"\x02" * 6, "pc-lab-07", "wlan0"), "seven"),
        (desk, Device(None, "pc-lab-08", "wlan0"), "lab"),
        (desk, Device(None, "phone", "wlan0"), "named"),
        (desk, Device(None, "", "wlan0"), "desk"),
        (other, Device(None, "", "wlan0"), "wifi"),
        (other, Device(None, "", "eth0"), "rest"),
    )
    for address, device, group in cases:
        assert table.group_of(address, device) == group


def test_a_lease_name_is_compared_by_its_first_label() -> None:
    names = [lease_name(text) for text in ("PC-7", "pc-7.school.lan.", "*", "")]
    assert names == ["pc-7", "pc-7", "", ""]


def test_the_rule_that_matched_can_be_shown() -> None:
    table = clients(room=["10.5.0.0/16"], laptop=["02-42-ac-11-00-02"])
    rule = table.match(packed("10.5.0.7"))
    assert rule is not None
    assert (rule.text, str(rule.place)) == ("10.5.0.0/16", "school.yaml:1:9")
    assert table.rules[1].text == "02:42:ac:11:00:02"
    assert table.match(packed("192.0.2.1")) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10.5.0.0/16", "10.5.0.0/16"),
        ("10.5.0.7", "10.5.0.7/32"),
        ("10.5.0.0/16", "::ffff:10.5.0.0/112"),
        ("2001:db8::/32", "2001:DB8:0::/32"),
        ("02:42:ac:11:00:02", "02-42-AC-11-00-02"),
        ("lease:pc-7", "lease:PC-7"),
        ("lease:pc-*", "lease:pc-*"),
        ("interface:br0", "interface:br0"),
    ],
)
def test_the_same_clients_in_two_groups_names_both_places(one: str, other: str) -> None:
    with pytest.raises(PolicyError) as caught:
        clients(first=[one], second=[other])
    assert "group 'first'" in str(caught.value)
    assert "school.yaml:1:9" in str(caught.value)
    assert str(caught.value).startswith("school.yaml:2:9")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not an address"),
        ("10.5.0", "not an address"),
        ("10.5.0.0/33", "not an address"),
        ("10.05.0.1", "not an address"),  # octal to some, decimal to others
        ("example.kz", "not an address"),
        ("02:42:ac:11:00", "not an address"),
        ("10.5.0.9/16", r"write 10\.5\.0\.0/16"),
        ("2001:db8::1/32", "write 2001:db8::/32"),
        ("00:00:00:00:00:00", "one device"),
        ("ff:ff:ff:ff:ff:ff", "one device"),
        ("01:00:5e:00:00:01", "one device"),
        ("lease:", "write lease:pc-lab-07"),
        ("lease:pc.school.lan", "to its first dot"),
        ("lease:*-lab", "names no lease"),
        ("interface:", "names no lease and no interface"),
        ("interface:longer-than-linux-knows", "names no lease and no interface"),
    ],
)
def test_what_is_no_client_says_where(text: str, words: str) -> None:
    with pytest.raises(PolicyError, match=words) as caught:
        parse_client(text, "group", HERE)
    assert (caught.value.line, caught.value.column) == (7, 9)


def test_an_address_of_another_length_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="4 or 16"):
        clients(room=["10.5.0.0/16"]).group_of(b"\x0a")


# Few networks around few addresses, so that they overlap.
network4 = st.builds(
    lambda value, length: ipaddress.ip_network((value, length), strict=False),
    st.sampled_from([0x0A000000, 0x0A050000, 0x0A050007, 0xC0000200]),
    st.integers(0, 32),
)
network6 = st.builds(
    lambda value, length: ipaddress.ip_network((value, length), strict=False),
    st.sampled_from([0x20010DB8 << 96, (0x20010DB8 << 96) | 7, 1]),
    st.integers(0, 128),
)
address = st.sampled_from(
    [
        packed(text)
        for text in ("10.0.0.0", "10.5.0.7", "10.5.0.8", "192.0.2.9", "2001:db8::7", "2001:db8::8", "::1")
    ]
)


@given(st.sets(st.one_of(network4, network6), max_size=12), address)
def test_agrees_with_looking_at_every_network(
    networks: set[ipaddress.IPv4Network | ipaddress.IPv6Network], asked: bytes
) -> None:
    table = Clients([parse_client(str(one), str(one), HERE) for one in networks], default="rest")
    host = ipaddress.ip_address(asked)
    holding = [one for one in networks if host in one]
    expected = str(max(holding, key=lambda one: one.prefixlen)) if holding else "rest"
    assert table.group_of(asked) == expected
    if len(asked) == 4:
        assert table.group_of(bytes(10) + b"\xff\xff" + asked) == expected


@given(st.text(max_size=30))
def test_any_text_is_a_client_or_a_policy_error(text: str) -> None:
    try:
        rule = parse_client(text, "group", HERE)
    except PolicyError:
        return
    assert parse_client(rule.text, "group", HERE) == rule
