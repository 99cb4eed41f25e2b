from itertools import product

import pytest

from filterd.rules.suffixes import public_suffixes, registrable, suffix_rules
from filterd.wire import names


def by_package(text: str) -> str | None:
    found: str | None = public_suffixes().privatesuffix(text)
    return found


def by_us(text: str) -> str | None:
    found = registrable(names.from_text(text))
    return None if found is None else names.to_text(found)


def test_every_suffix_of_the_list_is_read_as_the_package_reads_it() -> None:
    for suffix in (names.to_text(name) for name in suffix_rules()):
        for text in (suffix, f"one.{suffix}", f"two.one.{suffix}", f"three.two.one.{suffix}"):
            assert by_us(text) == by_package(text), text


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("kz", None),
        ("school.kz", "school.kz"),
        ("www.edu.kz", "www.edu.kz"),
        ("edu.kz", None),
        ("city.kawasaki.jp", "city.kawasaki.jp"),  # an exception from a wildcard
        ("www.city.kawasaki.jp", "city.kawasaki.jp"),
        ("other.kawasaki.jp", None),
        ("www.other.kawasaki.jp", "www.other.kawasaki.jp"),
        ("someone.github.io", "someone.github.io"),
        ("of.nobody.knows-this-top", "nobody.knows-this-top"),
        ("knows-this-top", None),
        (".", None),
    ],
)
def test_what_somebody_registered(text: str, domain: str | None) -> None:
    assert by_us(text) == domain


def test_a_dot_inside_a_label_parts_nothing() -> None:
    assert registrable(b"\x05a.edu\x02kz\x00") == b"\x05a.edu\x02kz\x00"
    for first, second in product((b"\x01*", b"\x01!"), (b"\x02ck", b"\x02kz")):
        assert registrable(b"\x03www" + first + second + b"\x00") is not None
