"""A name as lists write it: what is taken, and with which reason and at which place the rest is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.lists.formats.written import BadPart, is_glued, wire_name
from filterd.lists.rule import Reason
from filterd.wire import names


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (b"example.com", "example.com"),
        (b"EXAMPLE.Com", "example.com"),
        (b"example.com.", "example.com"),
        (b"_dmarc.my_host.example.com", "_dmarc.my_host.example.com"),
        (b"-edge-.example.com", "-edge-.example.com"),
        (b"xn--e1afmkfd.xn--p1ai", "xn--e1afmkfd.xn--p1ai"),
        ("пример.рф".encode(), "xn--e1afmkfd.xn--p1ai"),
        ("ҚАЗАҚ.қаз".encode(), "xn--80aau21bd.xn--80ao21a"),
        ("sportfogadás.com".encode(), "xn--sportfogads-t7a.com"),
        (b"0.0.0.0.beeglivesex.com", "0.0.0.0.beeglivesex.com"),
        (b"com", "com"),
        (b"crbmokrousovo.sov-linkru", "crbmokrousovo.sov-linkru"),
        (b".".join([b"a"] * 12) + b".com", "a.a.a.a.a.a.a.a.a.a.a.a.com"),
        (b"www." * 47 + b"lite.facebook.com", "www." * 47 + "lite.facebook.com"),
        (b"x" * 63 + b".com", "x" * 63 + ".com"),
    ],
)
def test_names_taken(part: bytes, text: str):
    assert names.to_text(wire_name(part)) == text


@pytest.mark.parametrize(
    ("part", "reason", "offset"),
    [
        (b"", Reason.EMPTY_LABEL, 0),
        (b"queda212..duckdns.org", Reason.EMPTY_LABEL, 9),
        (b".com", Reason.EMPTY_LABEL, 0),
        (b"a.com..", Reason.EMPTY_LABEL, 6),
        (b"a." + b"x" * 64 + b".com", Reason.LABEL_LENGTH, 2),
        (b".".join([b"x" * 60] * 5), Reason.NAME_LENGTH, 0),
        (b"1.2.3.4", Reason.IP_ADDRESS, 0),
        (b"001.002.003.004", Reason.IP_ADDRESS, 0),
        (b"300.1.2.3", Reason.IP_ADDRESS, 0),
        (b"1.2.3", Reason.IP_ADDRESS, 0),
        (b"2001:db8::1", Reason.IP_ADDRESS, 0),
        (b"104.236.137.72k8N2", Reason.IP_GLUED, 0),
        (b"103.91.17.136Mozi.x", Reason.IP_GLUED, 0),
        (b"alishop*.ru", Reason.WILDCARD, 7),
        (b"*.example.com", Reason.WILDCARD, 0),
        (b"example.com/path", Reason.URL, 11),
        (b"https://example.com", Reason.URL, 5),
        (b"example.com:8080", Reason.URL, 11),
        (b"ex ample.com", Reason.BAD_CHARACTER, 2),
        (b"ex\\097mple.com", Reason.BAD_CHARACTER, 2),
        (b"a@example.com", Reason.BAD_CHARACTER, 1),
        (b"exa\x00mple.com", Reason.NUL, 3),
        (b"ex\xffample.com", Reason.NOT_UTF8, 2),
        ("-ä-ß.".encode() + b"\xe2\x80\x8b.com", Reason.BAD_IDN, 0),
        (b"localhost", Reason.LOCAL_NAME, 0),
        (b"LOCALHOST.localdomain", Reason.LOCAL_NAME, 0),
        (b"ip6-localhost", Reason.LOCAL_NAME, 0),
    ],
)
def test_names_refused(part: bytes, reason: Reason, offset: int):
    with pytest.raises(BadPart) as caught:
        wire_name(part, 100)
    assert (caught.value.fault.reason, caught.value.fault.offset) == (reason, 100 + offset)
    assert caught.value.fault.part == part


def test_an_address_glued_to_text_is_told_from_a_name_that_begins_with_numbers():
    assert is_glued(b"0.0.0.0xbtc.exx.com")
    assert not is_glued(b"0.0.0.0.example.com")
    assert not is_glued(b"example.com")


def test_very_long_unicode_is_refused_without_work():
    with pytest.raises(BadPart) as caught:
        wire_name("ж".encode() * 8000)
    assert caught.value.fault.reason is Reason.NAME_LENGTH


def name_or_reason(part: bytes) -> bytes | Reason:
    try:
        return wire_name(part)
    except BadPart as bad:
        return bad.fault.reason


@given(st.binary())
def test_any_bytes_are_a_valid_name_or_a_fault(part: bytes):
    name = name_or_reason(part)
    if isinstance(name, bytes):
        assert names.from_text(names.to_text(name)) == name
        assert wire_name(names.to_text(name).encode()) == name


@given(st.from_regex(rb"[a-z0-9_-]{1,20}(\.[a-z0-9-]{1,20}){0,5}\.[a-z]{2,10}", fullmatch=True))
def test_the_fast_way_agrees_with_the_names_of_the_wire(part: bytes):
    allowed = {names.from_text(part.decode()), Reason.LOCAL_NAME, Reason.IP_GLUED}
    assert name_or_reason(part) in allowed
