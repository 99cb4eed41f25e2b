"""Plain upstreams beside encrypted ones: asked only where falling back is allowed, and only then."""

from __future__ import annotations

import pytest

from filterd.resolver.fallback import usable
from filterd.resolver.settings import UpstreamAddress
from filterd.resolver.upstream import Upstream


def group(*kinds):
    """``s`` and ``p``: a secure and a plain one that answer; upper case: silent."""
    found = []
    for number, kind in enumerate(kinds):
        name = "dns.example" if kind in "sS" else ""
        transport = "tls" if name else "plain"
        one = Upstream(UpstreamAddress("192.0.2.1", 1000 + number, transport, name), number)
        one.down = kind.isupper()
        found.append(one)
    return found


@pytest.mark.parametrize(
    ("kinds", "fallback", "asked", "fallen"),
    [
        ("pp", False, [0, 1], False),
        ("Pp", False, [1], False),
        ("ss", False, [0, 1], False),
        ("sp", True, [0], False),
        ("Ssp", True, [1], False),
        ("Sp", True, [1], True),
        ("Sp", False, [], False),
        ("SP", True, [], False),
        ("S", True, [], False),
        ("", True, [], False),
    ],
)
def test_who_is_asked(kinds, fallback, asked, fallen):
    alive, fallen_back = usable(group(*kinds), fallback=fallback)
    assert [one.number for one in alive] == asked
    assert fallen_back is fallen
