"""The format of a list is told from its first lines."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.lists.formats import FORMATS, parse
from filterd.lists.formats.detect import HEAD, detect
from filterd.lists.rule import Rule

SAMPLES = {
    "domains": "# Title\nexample.com\nwww.example.org\n_x.example.net # why\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n0.0.0.0 example.com\n0.0.0.0 example.org # why\n",
    "adblock": "[Adblock Plus]\n! Title\n||example.com^\n@@||good.example^\nexample.org\n0.0.0.0 x.example\n",
    "wildcard": "# Title\n*.example.com\n*.example.org\nexample.net\n",
    "dnsmasq": "# Title\naddress=/example.com/\nserver=/example.org/\n",
    "unbound": 'server:\nlocal-zone: "example.com" static\nlocal-zone: "example.org" deny\n',
    "rpz": "$TTL 300\n@ SOA localhost. root.localhost. 1 2 3 4 5\n  NS localhost.\n;\nexample.com CNAME .\n",
}


@pytest.mark.parametrize("form", SAMPLES)
def test_each_format(form: str):
    assert detect(SAMPLES[form].encode()) == form
    assert detect(b"\xef\xbb\xbf" + SAMPLES[form].replace("\n", "\r\n").encode()) == form


@pytest.mark.parametrize("form", SAMPLES)
def test_a_list_of_unknown_format_reads_the_same(form: str, say):
    assert say("auto", SAMPLES[form]) == say(form, SAMPLES[form])


def test_cosmetic_rules_alone_are_adblock():
    assert detect(b"! Title\nexample.com##.ad\n") == "adblock"


def test_nothing_to_go_by_is_read_as_names():
    assert detect(b"") == "domains"
    assert detect(b"# only\n# comments\n") == "domains"
    assert detect(b"<!DOCTYPE html>\n<p>Not found</p>\n") == "domains"


def test_html_gives_no_rule(say):
    html = "<!DOCTYPE html>\n<html><body>\n<a href='x'>example.com</a>\n</body></html>\n"
    assert all(line[0].isdigit() for line in say("auto", html))


def test_a_long_list_is_judged_by_its_beginning():
    content = b"0.0.0.0 example.com\n" * 10_000
    assert len(content) > HEAD
    assert detect(content) == "hosts"
    rules = [item for item in parse(io.BytesIO(content), "auto") if isinstance(item, Rule)]
    assert len(rules) == 10_000


@given(st.binary(max_size=2000))
def test_any_bytes_have_some_format(content: bytes):
    assert detect(content) in FORMATS
