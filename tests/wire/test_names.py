from __future__ import annotations

import dns.exception
import dns.name
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from filterd.errors import BadName
from filterd.wire import names

LABELS = st.lists(st.binary(min_size=1, max_size=63), max_size=6).filter(lambda ls: sum(map(len, ls)) < 240)


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        (".", b"\x00"),
        ("kz", b"\x02kz\x00"),
        ("Www.Example.KZ.", b"\x03www\x07example\x02kz\x00"),
        ("_dns.resolver.arpa", b"\x04_dns\x08resolver\x04arpa\x00"),
        ("www\\.foo.com", b"\x07www.foo\x03com\x00"),
        ("\\255\\000a.kz", b"\x03\xff\x00a\x02kz\x00"),
        ("a b.kz", b"\x03a b\x02kz\x00"),
        ("faß.de", b"\x0axn--fa-hia\x02de\x00"),
    ],
)
def test_text_becomes_wire(text, wire):
    assert names.from_text(text) == wire


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "a..b",
        ".a",
        "a" * 64,
        "a." * 128,
        "\\",
        "a\\",
        "\\256",
        "\\25",
        "ж..kz",
        "\u2024.kz",
        "ж" * 60,
    ],
)
def test_text_that_is_no_name(text):
    with pytest.raises(BadName):
        names.from_text(text)


def test_rfc_1035_section_2_3_4_limits():
    assert len(names.from_text(".".join(["a" * 63] * 3 + ["b" * 61]))) == 255
    with pytest.raises(BadName):
        names.from_text(".".join(["a" * 63] * 3 + ["b" * 62]))


def test_names_that_print_alike_elsewhere_print_differently_here():
    assert names.to_text(b"\x07www.foo\x03com\x00") == "www\\.foo.com"
    assert names.to_text(b"\x03www\x03foo\x03com\x00") == "www.foo.com"


@given(LABELS)
def test_text_and_wire_are_one(labels):
    wire = names.from_labels(labels)
    assert names.from_text(names.to_text(wire)) == wire
    assert names.labels(wire) == [label.lower() for label in labels]
    assert names.to_text(wire).isascii()
    assert names.to_text(wire).isprintable()
    assert dns.name.from_text(names.to_text(wire)).to_wire() == wire


@given(st.text(max_size=80))
def test_no_text_breaks_it(text):
    try:
        wire = names.from_text(text)
    except BadName:
        return
    assert len(wire) <= 255
    names.to_unicode(wire)
    assert names.from_text(names.to_text(wire)) == wire


@given(st.text(alphabet="abAB.\\0129-_ ", max_size=40))
def test_ascii_text_is_read_as_dnspython_reads_it(text):
    assume(text not in ("", "@"))
    try:
        theirs = dns.name.from_text(text).to_wire().lower()
    except dns.exception.DNSException:
        theirs = None
    try:
        ours = names.from_text(text)
    except BadName:
        ours = None
    assert ours == theirs


def test_unicode_is_shown_only_where_it_is_valid():
    assert names.to_unicode(names.from_text("xn--80ao21a")) == "қаз"
    assert names.to_unicode(names.from_text("xn--zzzzzz99999.kz")) == "xn--zzzzzz99999.kz"
    assert names.to_unicode(b"\x00") == "."


def test_rfc_4343_lower_touches_letters_only():
    assert names.lower(b"\x03A\xc3Z\x02KZ\x00") == b"\x03a\xc3z\x02kz\x00"
    every_label = b"".join(bytes((length,)) + b"A" * length for length in (1, 30, 63))
    assert names.lower(every_label) == every_label.replace(b"A", b"a")


def test_parents():
    wire = names.from_text("a.b.kz")
    assert [names.to_text(parent) for parent in names.parents(wire)] == ["a.b.kz", "b.kz", "kz"]
    assert list(names.parents(names.ROOT)) == []


@given(LABELS, LABELS)
def test_is_under_as_dnspython_sees_it(left, right):
    assume(sum(map(len, left + right)) + len(left + right) < 250)
    parent = names.from_labels(right)
    for labels in (left, left + right, right):
        name = names.from_labels(labels)
        expected = dns.name.Name([*labels, b""]).is_subdomain(dns.name.Name([*right, b""]))
        assert names.is_under(name, parent) is expected


def test_a_name_is_not_under_what_only_ends_alike():
    assert not names.is_under(names.from_text("notkz.kz"), names.from_text("tkz.kz"))
    assert not names.is_under(b"\x05a\x02kz\x00\x00"[:7] + b"\x00", b"\x02kz\x00\x00")
    assert names.is_under(names.from_text("a.kz"), names.ROOT)


@pytest.mark.realdata
def test_real_wire_names_are_read_as_dnspython_reads_them(realdata):
    from filterd.wire.reader import NameReader  # noqa: PLC0415

    samples = sorted((realdata / "packets").glob("*/dns_name_fromwire.in/*"))
    assert len(samples) > 40
    for path in samples:
        message = bytes(12) + path.read_bytes()
        for at in range(12, len(message)):
            try:
                theirs = dns.name.from_wire(message, at)[0].to_wire()
            except (dns.exception.DNSException, IndexError):
                theirs = None
            try:
                ours = NameReader(message).read(at)[0]
            except BadName:
                ours = None
            assert ours == theirs or ours is None
