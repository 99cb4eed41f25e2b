from __future__ import annotations

from itertools import islice

import pytest
from harness import names


@pytest.mark.parametrize("text", ["a.kz", "xn--e1afmkfd.xn--p1ai", "_dmarc.a-b.kz", "1.2.example.org"])
def test_names_of_lists(text):
    assert names.is_name(text)


@pytest.mark.parametrize(
    "text",
    ["kz", "", "a..kz", "-a.kz", "a-.kz", "1.2.3.4", "a b.kz", "A.kz", "a.k", "é.kz", "x." * 120 + "kz"],
)
def test_what_is_no_name(text):
    assert not names.is_name(text)


def test_domains_and_hosts_lines_are_read():
    lines = ["# note", "A.example.kz  # why", "0.0.0.0 b.example.kz", "127.0.0.1 localhost", "", "1.2.3.4"]
    assert list(names.read_list(lines)) == ["a.example.kz", "b.example.kz"]


def test_real_names_are_distinct_ordered_and_none_covers_another(tmp_path):
    folder = tmp_path / "ut1" / "games"
    folder.mkdir(parents=True)
    (folder / "domains").write_text("a.kz\nwww.a.kz\nb.kz\nb.kz\nc.d.kz\nco.uk\n")
    (tmp_path / "ut1" / "liste_blanche").mkdir()
    (tmp_path / "ut1" / "liste_blanche" / "domains").write_text("good.kz\n")
    found = names.real_names(tmp_path)
    assert sorted(found) == ["a.kz", "b.kz", "c.d.kz"]
    assert found == names.real_names(tmp_path)


def test_no_known_list(tmp_path):
    with pytest.raises(FileNotFoundError):
        names.real_names(tmp_path)


def test_derived_names_are_valid_distinct_and_never_cover_what_is_asked():
    real = ["a.kz", "b.c.kz", "xn--a.kz", f"{'l' * 63}.kz"]
    asked = ["www.a-2.kz", "b-3.c.kz"]
    found = list(islice(names.grow(real, asked), 50))
    assert found[:4] == real
    assert len(set(found)) == 50
    assert all(map(names.is_name, found))
    assert not any(names.covered(name, found) for name in asked)
    assert {"b-2.c.kz", "a-3.kz"} <= set(found)


def test_longer_lists_hold_the_shorter_ones(tmp_path):
    real = [f"n{number}.kz" for number in range(10)]
    paths = names.make_lists(tmp_path, real, [], [5, 20])
    short, long = (paths[size].read_text().split() for size in (5, 20))
    assert short == real[:5]
    assert long[:10] == real
    assert len(long) == 20


@pytest.mark.parametrize(("text", "count"), [("10k", 10_000), ("5m", 5_000_000), ("123", 123)])
def test_sizes(text, count):
    assert names.parse_size(text) == count
    assert names.size_text(count) == text


@pytest.mark.parametrize("text", ["0", "k", "-1", "many"])
def test_wrong_sizes(text):
    with pytest.raises(ValueError, match=r".*"):
        names.parse_size(text)
