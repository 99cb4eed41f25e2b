"""The category folders of Université Toulouse."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from filterd.lists.formats import parse_ut1, usage
from filterd.lists.guard import guard
from filterd.lists.rule import EXACT, Reason, Rejected, Rule
from filterd.wire import names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "domains").write_bytes(b"example.com\n193.49.53.175\n.example.org\nco.uk\n")
    (tmp_path / "urls").write_bytes(b"example.net/page.html\nexample.net/~other\n\n")
    (tmp_path / "expressions").write_bytes(b"(^|[-/])(casino|poker)\n")
    (tmp_path / "usage").write_bytes(b"#  a comment\nblack\nwhite\ngambling \n")
    return tmp_path


def test_domains_become_rules_and_the_rest_is_counted(folder: Path):
    items = [item for _, item in parse_ut1(folder, guard=guard())]
    assert [names.to_text(item.name) for item in items if isinstance(item, Rule)] == [
        "example.com",
        "example.org",
    ]
    assert [item for item in items if isinstance(item, Rejected)] == [
        Rejected(2, 1, "193.49.53.175", Reason.IP_ADDRESS, "domains"),
        Rejected(4, 1, "co.uk", Reason.PUBLIC_SUFFIX, "domains"),
        Rejected(1, 1, "example.net/page.html", Reason.URL, "urls"),
        Rejected(2, 1, "example.net/~other", Reason.URL, "urls"),
        Rejected(1, 1, "(^|[-/])(casino|poker)", Reason.REGEX, "expressions"),
    ]


def test_names_may_be_taken_exactly(folder: Path):
    rules = [item for _, item in parse_ut1(folder, scope=EXACT) if isinstance(item, Rule)]
    assert [rule.scope for rule in rules] == [EXACT, 1, EXACT]


def test_every_file_read_is_seen(folder: Path):
    total = hashlib.sha256()
    list(parse_ut1(folder, seen=total.update))
    content = b"".join((folder / name).read_bytes() for name in ("domains", "urls", "expressions"))
    assert total.hexdigest() == hashlib.sha256(content).hexdigest()


def test_a_folder_without_domains_gives_no_rule(tmp_path: Path):
    (tmp_path / "urls").write_bytes(b"example.net/x\n")
    assert [type(item) for _, item in parse_ut1(tmp_path)] == [Rejected]


def test_a_line_of_urls_without_end_is_one_reject(tmp_path: Path):
    (tmp_path / "urls").write_bytes(b"x" * 100_000 + b"\nexample.net/x\n")
    assert [item.reason for _, item in parse_ut1(tmp_path)] == [Reason.TOO_LONG, Reason.URL]


def test_usage_words(folder: Path):
    assert usage(folder) == ("black", "white", "gambling")
    assert usage(folder / "nowhere") == ()
