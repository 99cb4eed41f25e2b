"""The adblock syntax: what DNS can honour is taken, everything else is counted with its reason."""

from __future__ import annotations

import pytest

from filterd.lists.rule import EXACT


def test_names_and_how_far_they_reach(say):
    text = "||a.example^\n|b.example^\nc.example\n||*.d.example^\n||e.example\n|f.example|\n||g.example^|\n"
    assert say("adblock", text) == [
        "subtree a.example",
        "exact b.example",
        "exact c.example",
        "below d.example",
        "subtree e.example",
        "exact f.example",
        "subtree g.example",
    ]


def test_exceptions(say):
    assert say("adblock", "@@||a.example^\n@@|b.example^\n@@||c.example^$important\n") == [
        "allow subtree a.example",
        "allow exact b.example",
        "allow important subtree c.example",
    ]


def test_comments_and_headers(say):
    text = (
        "[Adblock Plus 2.0]\n! Title: x\n# plain\n#plain\n## plain\n#####\n||a.example^ # after\n||b.example^"
    )
    assert say("adblock", text) == ["subtree a.example", "subtree b.example"]


def test_honoured_modifiers(say):
    assert say(
        "adblock", "||a.example^$important\n||b.example^$all\n||c.example$all\n||d.example^$all,important"
    ) == [
        "important subtree a.example",
        "subtree b.example",
        "subtree c.example",
        "important subtree d.example",
    ]


def test_denyallow_blocks_and_makes_exceptions(say):
    assert say("adblock", "||a.example^$denyallow=x.a.example|y.a.example") == [
        "subtree a.example",
        "allow subtree x.a.example",
        "allow subtree y.a.example",
    ]


def test_denyallow_that_exceptions_could_not_express_is_rejected(say):
    assert say(
        "adblock", "||a.example^$important,denyallow=x.a.example\n@@||b.example^$denyallow=c.example"
    ) == [
        "1:14 modifier-not-dns important,denyallow=x.a.example",
        "2:16 modifier-not-dns denyallow=c.example",
    ]


def test_badfilter_takes_a_rule_of_the_list_back(say):
    assert say("adblock", "||a.example^$badfilter") == ["allow subtree a.example"]


def test_badfilter_that_an_exception_could_not_express_is_rejected(say):
    assert say("adblock", "@@||a.example^$badfilter\n||b.example^$important,badfilter") == [
        "1:16 badfilter badfilter",
        "2:14 badfilter important,badfilter",
    ]


@pytest.mark.parametrize(
    "modifier",
    [
        *("third-party", "~third-party", "3p", "script", "image", "document", "popup", "domain=b.example"),
        *("dnsrewrite=1.2.3.4", "dnsrewrite=NOERROR;A;1.2.3.4", "dnstype=A", "client=192.168.0.1"),
        *("ctag=device_pc", "app=com.example", "network", "csp=x", "removeparam=y", "important=1", "unknown"),
    ],
)
def test_modifiers_that_limit_or_rewrite_are_rejected(say, modifier: str):
    assert say("adblock", f"||a.example^${modifier}") == [
        f"1:14 modifier-not-dns {modifier.partition(',')[0]}"
    ]


def test_the_column_is_that_of_the_modifier_at_fault(say):
    assert say("adblock", "||a.example^$important,dnstype=AAAA") == ["1:24 modifier-not-dns dnstype=AAAA"]


def test_an_empty_modifier_is_rejected(say):
    assert say("adblock", "||a.example^$,important") == ["1:14 modifier-not-dns "]


@pytest.mark.parametrize(
    "rule",
    [
        *("##.banner", "example.com##.banner", "example.com#@#.banner", "#%#//scriptlet('x')"),
        *("example.com#%#window.x=1", "example.com#$#body{}", "example.com#?#div:has(a)", "#@#.ad"),
        'example.com$$script[tag-content="x"]',
    ],
)
def test_rules_about_parts_of_pages(say, rule: str):
    (said,) = say("adblock", rule)
    assert said.split(" ", 2)[1:] == ["cosmetic-rule", rule]


def test_regular_expressions(say):
    assert say("adblock", "/^ads?[0-9]+\\./\n/banner/img/$image") == [
        "1:1 regex /^ads?[0-9]+\\./",
        "2:1 regex /banner/img/$image",
    ]


def test_paths_and_ports(say):
    assert say(
        "adblock", "||pastebin.com/raw/x$all\n||a.example:8080^\nhttps://b.example/\n||c.example/^"
    ) == [
        "1:15 url-path pastebin.com/raw/x",
        "2:12 url-path a.example:8080",
        "3:6 url-path https://b.example/",
        "4:12 url-path c.example/",
    ]


def test_wildcards(say):
    assert say("adblock", "@@||aax-*.amazon.*^\n||*^\n||example.*^") == [
        "1:9 wildcard-in-the-middle aax-*.amazon.*",
        "2:3 wildcard-in-the-middle *",
        "3:11 wildcard-in-the-middle example.*",
    ]


def test_what_is_not_anchored_would_match_inside_names(say):
    assert say("adblock", "example.com^") == ["1:1 not-anchored-to-a-name example.com^"]


def test_addresses(say):
    assert say("adblock", "||1.0.215.154^\n||1.0.215.154$all\n1.2.3.4") == [
        "1:3 ip-address 1.0.215.154",
        "2:3 ip-address 1.0.215.154",
        "3:1 ip-address 1.2.3.4",
    ]


def test_hosts_lines_within(say):
    assert say("adblock", "0.0.0.0 a.example b.example # x\n8.8.8.8 c.example", scope=EXACT) == [
        "exact a.example",
        "exact b.example",
        "2:9 points-to-a-real-address c.example",
    ]


def test_upper_case_and_unicode(say):
    assert say("adblock", "||EXAMPLE.com^\n||пример.рф^$IMPORTANT") == [
        "subtree example.com",
        "important subtree xn--e1afmkfd.xn--p1ai",
    ]
