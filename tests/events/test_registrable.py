from __future__ import annotations

import pytest

from filterd.events.registrable import spoken
from filterd.wire import names


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("www.example.kz", "example.kz"),
        ("example.kz", "example.kz"),
        ("a.b.school.edu.kz", "school.edu.kz"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("one.github.io", "one.github.io"),
        ("kz", "kz"),
        ("edu.kz", "edu.kz"),
        (".", "."),
        ("xn--80aaf1afg.xn--80ao21a", "xn--80aaf1afg.xn--80ao21a"),
        ("deep.xn--80aaf1afg.xn--80ao21a", "xn--80aaf1afg.xn--80ao21a"),
        ("a.b.unheard-of-tld", "b.unheard-of-tld"),
    ],
)
def test_registrable_domain(name, domain):
    assert spoken(names.from_text(name)) == (name, domain)


def test_a_dot_inside_a_label_does_not_make_another_domain():
    odd = names.from_labels([b"www.example", b"kz"])
    assert spoken(odd) == ("www\\.example.kz", "www\\.example.kz")


def test_bytes_that_are_no_text_keep_their_escapes():
    assert spoken(names.from_labels([b"\xff\x00", b"example", b"kz"])) == (
        "\\255\\000.example.kz",
        "example.kz",
    )
