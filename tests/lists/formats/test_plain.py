"""Domains, wildcard and hosts lists, line by line."""

from __future__ import annotations

from filterd.lists.rule import EXACT


def test_domains_one_name_a_line(say):
    assert say("domains", "example.com\nwww.Example.ORG.\n") == [
        "subtree example.com",
        "subtree www.example.org",
    ]


def test_a_bare_name_means_what_the_entry_of_the_list_says(say):
    assert say("domains", "example.com", scope=EXACT) == ["exact example.com"]
    assert say("hosts", "0.0.0.0 example.com", scope=EXACT) == ["exact example.com"]


def test_marks_say_how_far_a_name_reaches(say):
    text = "=example.com\n*.example.org\n.example.net\n"
    assert say("domains", text, scope=EXACT) == [
        "exact example.com",
        "subtree example.org",
        "subtree example.net",
    ]


def test_wildcard_lists_mean_the_name_and_below_as_hagezi_does(say):
    assert say("wildcard", "*.012proxy.ga\nplain.example\n", scope=EXACT) == [
        "subtree 012proxy.ga",
        "subtree plain.example",
    ]


def test_comments_of_every_kind(say):
    text = (
        "# one\n! two\n; three\n   # indented\nexample.com # after\nexample.org#glued\nxn--yt8h.la #📙\n\n \n"
    )
    assert say("domains", text) == ["subtree example.com", "subtree example.org", "subtree xn--yt8h.la"]


def test_a_second_word_is_not_understood(say):
    assert say("domains", "  example.com other.com\n0.0.0.0 example.com") == [
        "1:15 not-understood example.com other.com",
        "2:9 not-understood 0.0.0.0 example.com",
    ]


def test_columns_count_from_the_beginning_of_the_line(say):
    assert say("domains", "  *.exa*mple.com") == ["1:8 wildcard-in-the-middle exa*mple.com"]


def test_hosts_lines(say):
    text = (
        "0.0.0.0 a.example\n127.0.0.1\tb.example c.example  # two\n:: d.example\n0 e.example\n::1 f.example\n"
    )
    assert say("hosts", text) == [f"subtree {one}.example" for one in "abcdef"]


def test_hosts_comments(say):
    assert say("hosts", "# a\n  # b\n! c\n; d\n0.0.0.0 a.example #[Tracking.Cookie]\n") == [
        "subtree a.example"
    ]


def test_the_block_about_the_host_itself_is_counted(say):
    text = (
        "127.0.0.1 localhost\n127.0.0.1 localhost.localdomain\n255.255.255.255 broadcasthost\n::1 localhost\n"
        "::1 ip6-loopback\nfe80::1%lo0 localhost\nff02::1 ip6-allnodes\n0.0.0.0 0.0.0.0\n"
    )
    assert say("hosts", text) == [
        "1:11 local-name localhost",
        "2:11 local-name localhost.localdomain",
        "3:17 local-name broadcasthost",
        "4:5 local-name localhost",
        "5:5 local-name ip6-loopback",
        "6:13 local-name localhost",
        "7:9 local-name ip6-allnodes",
        "8:9 ip-address 0.0.0.0",
    ]


def test_a_real_address_rewrites_and_does_not_block(say):
    assert say("hosts", "216.239.38.120 www.google.com google.com") == [
        "1:16 points-to-a-real-address www.google.com",
        "1:31 points-to-a-real-address google.com",
    ]


def test_damaged_addresses(say):
    text = "::1ip6-loopback y.example\n127.000.000.001 z.example\n0.0.0.0.0 w.example\n0:0:0 v.example"
    assert say("hosts", text) == [
        "1:1 bad-address ::1ip6-loopback",
        "2:1 bad-address 127.000.000.001",
        "3:1 bad-address 0.0.0.0.0",
        "4:1 bad-address 0:0:0",
    ]


def test_an_address_glued_to_its_name(say):
    assert say("hosts", "0.0.0.0xbtc.exx.com") == ["1:1 ip-address-glued-to-text 0.0.0.0xbtc.exx.com"]


def test_a_lone_word_is_not_a_hosts_line(say):
    assert say("hosts", "example.com\n0.0.0.0\n") == [
        "1:1 not-understood example.com",
        "2:1 not-understood 0.0.0.0",
    ]


def test_several_names_and_one_of_them_bad(say):
    assert say("hosts", "0.0.0.0 a.example b..example c.example") == [
        "subtree a.example",
        "1:21 empty-label b..example",
        "subtree c.example",
    ]
