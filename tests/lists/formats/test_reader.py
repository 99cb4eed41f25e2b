"""Whole lists: every oddity seen in the field, the guard, arbitrary bytes, rules printed and read back."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.errors import ListError
from filterd.lists.formats import FORMATS, parse, parse_blocks
from filterd.lists.guard import guard
from filterd.lists.rule import BELOW, EXACT, SAMPLE_TEXT, SUBTREE, Rejected, Rule
from filterd.wire import names

# What real lists held, made small. Each line of `said` is a rule, or line:column, reason and text.
ODDITIES = {
    "BOM on line 1": ("hosts", b"\xef\xbb\xbf0.0.0.0 a.example\n", ["subtree a.example"]),
    "BOM on line 2": ("domains", b"# x\n\xef\xbb\xbfa.example\n", ["subtree a.example"]),
    "CRLF": (
        "dnsmasq",
        b"address=/a.example/\r\naddress=/b.example/\r\n",
        ["subtree a.example", "subtree b.example"],
    ),
    "bare CR inside a line": (
        "hosts",
        b"0.0.0.0 a.example\r0.0.0.0 b.example\n0.0.0.0 c.example\n",
        [r"1:18 carriage-return-inside 0.0.0.0 a.example\r0.0.0.0 b.example", "subtree c.example"],
    ),
    "trailing blanks": ("adblock", b"||a.example^ \t \n", ["subtree a.example"]),
    "no final newline": ("rpz", b"a.example CNAME .", ["exact a.example"]),
    "mid-line comment": ("hosts", b"0.0.0.0 a.example  #[WebBug]\n", ["subtree a.example"]),
    "indented comment": ("domains", b"   # b.example\na.example\n", ["subtree a.example"]),
    "localhost with a zone": ("hosts", b"fe80::1%lo0 localhost\n", ["1:13 local-name localhost"]),
    "null address as a name": ("hosts", b"0.0.0.0 0.0.0.0\n", ["1:9 ip-address 0.0.0.0"]),
    "IP address in a domain list": ("domains", b"193.52.26.10\n", ["1:1 ip-address 193.52.26.10"]),
    "IP with leading zeros": ("domains", b"010.001.002.003\n", ["1:1 ip-address 010.001.002.003"]),
    "IP with a group over 255": ("domains", b"1.2.3.456\n", ["1:1 ip-address 1.2.3.456"]),
    "IP glued to text": (
        "hosts",
        b"0.0.0.0xbtc.exx.com\n",
        ["1:1 ip-address-glued-to-text 0.0.0.0xbtc.exx.com"],
    ),
    "IP glued to text in a domain list": (
        "domains",
        b"103.91.17.136Mozi.x\n",
        ["1:1 ip-address-glued-to-text 103.91.17.136Mozi.x"],
    ),
    "raw Unicode": ("hosts", "0.0.0.0 пример.рф\n".encode(), ["subtree xn--e1afmkfd.xn--p1ai"]),
    "punycode": ("wildcard", b"*.xn--e1afmkfd.xn--p1ai\n", ["subtree xn--e1afmkfd.xn--p1ai"]),
    "underscore": ("unbound", b'local-zone: "a_b.example" static\n', ["subtree a_b.example"]),
    "hyphen at the edge of a label": ("domains", b"-a.b-.example\n", ["subtree -a.b-.example"]),
    "empty label": ("domains", b"queda212..duckdns.org\n", ["1:10 empty-label queda212..duckdns.org"]),
    "leading dot": ("domains", b".a.example\n", ["subtree a.example"]),
    "trailing dot": ("hosts", b"0.0.0.0 a.example.\n", ["subtree a.example"]),
    "upper case": ("adblock", b"||A.Example^\n", ["subtree a.example"]),
    "whole TLD": ("domains", b".com\n.win\n", ["1:2 whole-tld com", "2:2 whole-tld win"]),
    "public suffix": (
        "adblock",
        b"||pages.dev^\n||co.uk^\n",
        ["1:3 public-suffix pages.dev", "2:3 public-suffix co.uk"],
    ),
    "wildcard in the middle": ("domains", b"alishop*.ru\n", ["1:8 wildcard-in-the-middle alishop*.ru"]),
    "cosmetic ##": ("adblock", b"a.example##.ad\n", ["1:10 cosmetic-rule a.example##.ad"]),
    "cosmetic #%#": ("adblock", b"a.example#%#x()\n", ["1:10 cosmetic-rule a.example#%#x()"]),
    "exception": ("adblock", b"@@||a.example^\n", ["allow subtree a.example"]),
    "regular expression": ("adblock", b"/^a[0-9]+/\n", ["1:1 regex /^a[0-9]+/"]),
    "$third-party": ("adblock", b"||a.example^$third-party\n", ["1:14 modifier-not-dns third-party"]),
    "$dnsrewrite": (
        "adblock",
        b"||a.example^$dnsrewrite=b.example\n",
        ["1:14 modifier-not-dns dnsrewrite=b.example"],
    ),
    "$dnstype": ("adblock", b"||a.example^$dnstype=~A\n", ["1:14 modifier-not-dns dnstype=~A"]),
    "mangled IPv6": (
        "hosts",
        b"::1ip6-loopback\nfe80::1%lo0 x\n",
        ["1:1 not-understood ::1ip6-loopback", "2:13 whole-tld x"],
    ),
    "mangled IPv6 in a domain list": ("domains", b"fe80::1%lo0\n", ["1:1 ip-address fe80::1%lo0"]),
    "ten labels and more": (
        "domains",
        b"a.b.c.d.e.f.g.h.i.j.k.l.example\n",
        ["subtree a.b.c.d.e.f.g.h.i.j.k.l.example"],
    ),
    "a name of 217 characters": (
        "hosts",
        b"0.0.0.0 " + b"www." * 50 + b"lite.facebook.com\n",
        ["subtree " + "www." * 50 + "lite.facebook.com"],
    ),
    "a line of 11,782 characters": (
        "adblock",
        b"||a.example^$domain=" + b"x" * 11_762 + b"\n",
        ["1:14 modifier-not-dns domain=" + "x" * 112 + "…"],
    ),
    "a line beyond any sense": (
        "domains",
        b"y" * 20_000 + b"\na.example\n",
        ["1:16385 line-too-long " + "y" * 119 + "…", "subtree a.example"],
    ),
    "invalid UTF-8": ("domains", b"a\xc3\x28.example\n", [r"1:2 not-utf8 a\xc3(.example"]),
    "invalid UTF-8 in a comment": ("hosts", b"# \xff\n0.0.0.0 a.example # \xfe\n", ["subtree a.example"]),
    "NUL": ("domains", b"a\x00b.example\n", [r"1:2 nul-byte a\x00b.example"]),
    "several names on a hosts line": (
        "hosts",
        b"0.0.0.0 a.example b.example\n",
        ["subtree a.example", "subtree b.example"],
    ),
    "a label over 63": (
        "dnsmasq",
        b"address=/" + b"z" * 64 + b".example/\n",
        ["1:10 label-over-63 " + "z" * 64 + ".example"],
    ),
    "a URL in a domain list": ("domains", b"https://a.example/x\n", ["1:6 url-path https://a.example/x"]),
}


SOUND = {
    "domains": "z.example",
    "wildcard": "*.z.example",
    "hosts": "0.0.0.0 z.example",
    "adblock": "||z.example^",
    "dnsmasq": "address=/z.example/",
    "unbound": 'local-zone: "z.example" deny',
    "rpz": "z.example CNAME .",
}


@pytest.mark.parametrize("oddity", ODDITIES)
def test_oddities_seen_in_real_lists(say, oddity: str):
    form, text, said = ODDITIES[oddity]
    assert say(form, text, guarded=True) == said


@pytest.mark.parametrize("oddity", ODDITIES)
def test_an_oddity_never_ends_the_list(say, oddity: str):
    form, text, said = ODDITIES[oddity]
    sound = SOUND[form].encode()
    assert say(form, text + b"\n" + sound, guarded=True)[: len(said)] == said
    assert say(form, text + b"\n" + sound, guarded=True)[-1].endswith("z.example")


def test_what_the_guard_refuses_keeps_its_place(say):
    text = "0.0.0.0 a.example PAGES.dev b.example\n"
    assert say("hosts", text, guarded=True) == [
        "subtree a.example",
        "1:19 public-suffix pages.dev",
        "subtree b.example",
    ]


def test_an_unknown_format_is_an_error():
    with pytest.raises(ListError, match="known: domains"):
        list(parse(io.BytesIO(b""), "pihole"))


def test_reading_does_not_wait_for_the_whole_list():
    def endless():
        while True:
            yield b"a.example\n" * 1000

    found = parse_blocks(endless(), "domains")
    assert next(found) == (1, Rule(names.from_text("a.example")))


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=150)
@given(content=st.binary(max_size=600), scope=st.sampled_from((EXACT, SUBTREE)))
def test_any_bytes_give_only_sound_rules_and_placed_rejects(form: str, content: bytes, scope: int):
    check(content, form, scope)


TOKENS = st.sampled_from(
    [
        *b"|| | @@ ^ $ ## # / *. . = , important denyallow= a.example com xn-- 0.0.0.0 ::1 1.2.3.4".split(),
        *b"fe80::1%lo0 address=/ server=/ local-zone: local-data: static redirect A CNAME $ORIGIN".split(),
        *b"$TTL @ SOA NS ( ) ; rpz-passthru. .rpz-ip IN 300 ' \" \\".split(),
        *(b" ", b"\t", b"\r", b"\n", b"\n", "ж".encode(), b"\xff", b"\x00", b"\xef\xbb\xbf", b"x" * 70),
    ]
)


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=200)
@given(tokens=st.lists(TOKENS, max_size=40), scope=st.sampled_from((EXACT, SUBTREE)))
def test_words_of_all_formats_mixed(form: str, tokens: list[bytes], scope: int):
    check(b"".join(tokens), form, scope)


def check(content: bytes, form: str, scope: int) -> None:
    lines = content.count(b"\n") + 1
    for item in parse(io.BytesIO(content), form, scope=scope, guard=guard()):
        if isinstance(item, Rejected):
            assert 1 <= item.line <= lines
            assert item.column >= 1
            assert len(item.text) <= SAMPLE_TEXT
            assert item.text.isprintable()
        else:
            assert names.from_text(names.to_text(item.name)) == item.name
            assert item.scope in (EXACT, SUBTREE, BELOW)


PRINTERS = {
    "domains": lambda rule, text: {EXACT: f"={text}", SUBTREE: f"*.{text}"}.get(rule.scope),
    "wildcard": lambda rule, text: {EXACT: f"={text}", SUBTREE: f"*.{text}"}.get(rule.scope),
    "hosts": lambda rule, text: f"0.0.0.0 {text}" if rule.scope == SUBTREE else None,
    "adblock": lambda rule, text: (
        ("@@" if rule.allow else "")
        + {EXACT: f"|{text}^", SUBTREE: f"||{text}^", BELOW: f"||*.{text}^"}[rule.scope]
        + ("$important" if rule.important else "")
    ),
    "dnsmasq": lambda rule, text: {
        (SUBTREE, False): f"address=/{text}/",
        (BELOW, False): f"local=/*.{text}/",
        (SUBTREE, True): f"server=/{text}/#",
        (BELOW, True): f"server=/*.{text}/#",
    }.get((rule.scope, rule.allow)),
    "unbound": lambda rule, text: (
        f'local-zone: "{text}." {"transparent" if rule.allow else "always_nxdomain"}'
        if rule.scope == SUBTREE
        else f'local-data: "{text}. A 0.0.0.0"'
        if rule.scope == EXACT and not rule.allow
        else None
    ),
    "rpz": lambda rule, text: (
        f"{'*.' if rule.scope == BELOW else ''}{text} CNAME {'rpz-passthru.' if rule.allow else '.'}"
        if rule.scope != SUBTREE
        else None
    ),
}
MARKED = {"adblock": (True, True), "dnsmasq": (True, False), "unbound": (True, False), "rpz": (True, False)}

NAMES = st.from_regex(
    r"[a-z0-9_][a-z0-9_-]{0,15}(\.[a-z0-9_][a-z0-9-]{0,15}){0,3}\.(com|kz|xn--p1ai|example)", fullmatch=True
)
RULES = st.builds(
    Rule, NAMES.map(names.from_text), st.sampled_from((EXACT, SUBTREE, BELOW)), st.booleans(), st.booleans()
)


@pytest.mark.parametrize("form", PRINTERS)
@given(rules=st.lists(RULES, min_size=1, max_size=10))
def test_a_rule_printed_in_a_format_reads_back(form: str, rules: list[Rule]):
    may_allow, may_be_important = MARKED.get(form, (False, False))
    lines = []
    printed = []
    for rule in rules:
        if (rule.allow and not may_allow) or (rule.important and not may_be_important):
            continue
        line = PRINTERS[form](rule, names.to_text(rule.name))
        if line is not None:
            lines.append(line)
            printed.append(rule)
    text = "\n".join(lines).encode()
    assert list(parse(io.BytesIO(text), form)) == printed
