"""Lists written as configuration of dnsmasq and unbound."""

from __future__ import annotations

import pytest


def test_dnsmasq_ways_to_block(say):
    text = (
        "address=/a.example/0.0.0.0\naddress=/b.example/#\naddress=/c.example/\nserver=/d.example/\n"
        "local=/e.example/\naddress=/f.example/::\naddress=/.g.example/127.0.0.1\n--address=/h.example/\n"
        "  address = /i.example/\n"
    )
    assert say("dnsmasq", text) == [f"subtree {one}.example" for one in "abcdefghi"]


def test_dnsmasq_several_domains_on_a_line(say):
    assert say("dnsmasq", "address=/a.example/b..example/c.example/0.0.0.0") == [
        "subtree a.example",
        "1:22 empty-label b..example",
        "subtree c.example",
    ]


def test_dnsmasq_as_usual_is_an_exception(say):
    assert say("dnsmasq", "server=/a.example/#") == ["allow subtree a.example"]


def test_dnsmasq_wildcards(say):
    assert say(
        "dnsmasq", "address=/*.a.example/\naddress=/*b.example/\naddress=/#/0.0.0.0\nlocal=/c*d.example/"
    ) == [
        "below a.example",
        "2:10 wildcard-in-the-middle *b.example",
        "3:10 whole-tld #",
        "4:9 wildcard-in-the-middle c*d.example",
    ]


def test_dnsmasq_that_does_not_block(say):
    text = (
        "address=/a.example/192.0.2.1\nserver=/b.example/8.8.8.8\nserver=8.8.8.8\naddress=1.2.3.4\n"
        "cname=c.example,d.example\nconf-file=/etc/x\nnonsense\naddress=/e.example\n"
    )
    assert say("dnsmasq", text) == [
        "1:10 points-to-a-real-address a.example",
        "2:9 forwarding-rule b.example",
        "3:8 forwarding-rule 8.8.8.8",
        "4:9 not-understood 1.2.3.4",
        "5:1 unsupported-directive cname=c.example,d.example",
        "6:1 unsupported-directive conf-file=/etc/x",
        "7:1 not-understood nonsense",
        "8:9 not-understood /e.example",
    ]


def test_dnsmasq_comments(say):
    text = "# one\n  # two\n\naddress=/a.example/ # three\naddress=/b.example/#\n"
    assert say("dnsmasq", text) == ["subtree a.example", "subtree b.example"]


@pytest.mark.parametrize(
    "kind",
    [
        *("always_nxdomain", "always_nodata", "always_refuse", "always_deny", "always_null", "deny"),
        *("refuse", "inform_deny", "static", "redirect"),
    ],
)
def test_unbound_zones_that_block(say, kind: str):
    assert say("unbound", f'local-zone: "a.example" {kind}\n') == ["subtree a.example"]


def test_unbound_ways_to_write_a_zone(say):
    text = (
        'server:\n  local-zone: "a.example." always_null\n  local-zone: b.example static\n'
        'local-zone: \'c.example\' refuse # why\nlocal-zone:\t"D.example" "deny"\n'
    )
    assert say("unbound", text) == [f"subtree {one}.example" for one in "abcd"]


def test_unbound_transparent_zones_are_exceptions(say):
    text = 'local-zone: "a.example" transparent\nlocal-zone: "b.example" always_transparent\n'
    assert say("unbound", text) == ["allow subtree a.example", "allow subtree b.example"]


def test_unbound_zone_with_null_data_blocks_once(say):
    text = 'local-zone: "a.example" static\nlocal-data: "a.example A 0.0.0.0"\nlocal-zone: "b.example" deny\n'
    assert say("unbound", text) == ["subtree a.example", "subtree b.example"]


def test_unbound_safe_search_recipe_never_becomes_a_block(say):
    data = '"www.google.com CNAME forcesafesearch.google.com"'
    text = f'local-zone: "www.google.com" redirect\nlocal-data: {data}\n'
    assert say("unbound", text) == [f"2:13 local-data {data}"]


def test_unbound_data_of_its_own(say):
    text = (
        'local-data: "a.example A 127.0.0.1"\nlocal-data: "b.example 300 IN AAAA ::"\n'
        'local-data: "c.example A 192.0.2.1"\nlocal-data: "d.example TXT hello world"\nlocal-data: ""\n'
    )
    assert say("unbound", text) == [
        "exact a.example",
        "exact b.example",
        '3:13 local-data "c.example A 192.0.2.1"',
        '4:13 local-data "d.example TXT hello world"',
        '5:13 local-data ""',
    ]


def test_unbound_data_for_another_name_does_not_touch_the_zone_before(say):
    text = 'local-zone: "a.example" static\nlocal-data: "host.b.example A 192.0.2.1"\n'
    assert say("unbound", text) == ["subtree a.example", '2:13 local-data "host.b.example A 192.0.2.1"']


def test_unbound_settings_and_damage(say):
    text = (
        'do-ip6: yes\nlocal-zone: "a.example" nodefault\nlocal-zone: "b..example" deny\n'
        'local-zone: c.example\nnonsense\nlocal-zone: "d.example" static\n'
    )
    assert say("unbound", text) == [
        "1:1 unsupported-directive do-ip6: yes",
        "2:25 zone-type-not-blocking nodefault",
        "3:16 empty-label b..example",
        "4:13 not-understood c.example",
        "5:1 not-understood nonsense",
        "subtree d.example",
    ]


def test_a_zone_waiting_at_the_end_passes_the_guard_too(say):
    assert say("unbound", 'local-zone: "co.uk" static', guarded=True) == ["1:1 public-suffix co.uk"]
