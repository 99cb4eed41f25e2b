from __future__ import annotations

import hashlib
from typing import Any

import pytest

from filterd.errors import StartError
from filterd.monitor.access.directory import Directory
from filterd.monitor.access.doorkeeper import Caller, Doorkeeper
from filterd.monitor.problems import Problem
from filterd.monitor.settings import MonitorSettings


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def door(**changes: Any) -> Doorkeeper:
    values: dict[str, Any] = {
        "listen": (("127.0.0.1", 8053),),
        "database": "sqlite:////nowhere/x.sqlite",
        "boxes": {"box1": ("school-1", digest("one")), "box2": ("school-2", digest("two"))},
        "admin_token_sha256": digest("admin"),
    }
    return Doorkeeper(MonitorSettings(**(values | changes)))


def box_of(headers: Caller) -> tuple[str, str]:
    """Ask a door for a box, with what its configuration names."""
    asked = door()
    return asked.box(headers, Directory.of_settings(asked._settings), 0.0)


def caller(peer: str = "10.0.0.7", **headers: str | list[str]) -> Caller:
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return Caller(peer, {name: [v] if isinstance(v, str) else v for name, v in named.items()})


def refused(call: Any, *args: Any) -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        call(*args)
    assert caught.value.remedy
    return caught.value.status, caught.value.code


def test_a_box_is_known_by_its_token() -> None:
    assert box_of(caller(authorization="Bearer one")) == ("box1", "school-1")
    assert box_of(caller(authorization="bearer two")) == ("box2", "school-2")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer three",
        "Basic one",
        "one",
        "Bearer " + "x" * 10_000,
        "Bearer \udcff",
        f"Bearer {'0' * 64}",
    ],
)
def test_no_box_without_its_token(value: str) -> None:
    assert refused(box_of, caller(authorization=value)) == (401, "bad-token")


def test_two_tokens_are_none() -> None:
    assert refused(box_of, caller(authorization=["Bearer one", "Bearer two"])) == (401, "bad-token")
    assert refused(box_of, caller()) == (401, "bad-token")


def test_the_hash_is_no_token() -> None:
    assert refused(box_of, caller(authorization=f"Bearer {digest('one')}")) == (401, "bad-token")


def test_admin_by_token() -> None:
    door().admin(caller(authorization="Bearer admin"))
    assert refused(door().admin, caller(authorization="Bearer one")) == (401, "bad-token")
    assert refused(door().admin, caller()) == (401, "bad-token")


def test_no_admin_token_set_means_none_fits() -> None:
    shut = door(admin_token_sha256=None)
    assert refused(shut.admin, caller(authorization="Bearer admin")) == (401, "bad-token")
    assert refused(shut.admin, caller(authorization="Bearer ")) == (401, "bad-token")


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8053", "localhost.", "127.0.0.1", "127.0.0.1:8053", "[::1]", "[::1]:8053"],
)
def test_a_caller_on_this_machine_is_an_admin_when_allowed(peer: str, host: str) -> None:
    door(local_admin=True).admin(caller(peer, host=host))
    assert refused(door(local_admin=False).admin, caller(peer, host=host)) == (401, "bad-token")


@pytest.mark.parametrize(
    "host",
    [
        "filter.school.kz", "localhost.evil.example", "evil.example:8053", "127.0.0.1.evil.example",
        "10.0.0.1",
        "[::2]", "[::1", "[::1]x", "::1", "", "127.0.0.1:x", "localhost:80:80", "127.1", "2130706433",
    ],
)  # fmt: skip
def test_dns_rebinding_is_no_admin(host: str) -> None:
    assert refused(door(local_admin=True).admin, caller("127.0.0.1", host=host)) == (403, "foreign-host")


def test_missing_or_double_host_is_no_admin() -> None:
    assert refused(door(local_admin=True).admin, caller("127.0.0.1")) == (403, "foreign-host")
    both = caller("127.0.0.1", host=["localhost", "localhost"])
    assert refused(door(local_admin=True).admin, both) == (403, "foreign-host")


@pytest.mark.parametrize("header", ["forwarded", "x_forwarded_for", "x_forwarded_host", "x_real_ip", "via"])
def test_through_a_proxy_is_no_admin(header: str) -> None:
    proxied = caller("127.0.0.1", host="localhost", **{header: "1.2.3.4"})
    assert refused(door(local_admin=True).admin, proxied) == (403, "proxied")


@pytest.mark.parametrize(
    ("site", "allowed"), [("none", True), ("same-origin", True), ("cross-site", False), ("same-site", False)]
)
def test_another_sites_page_is_no_admin(site: str, *, allowed: bool) -> None:
    request = caller("127.0.0.1", host="localhost", sec_fetch_site=site)
    if allowed:
        door(local_admin=True).admin(request)
    else:
        assert refused(door(local_admin=True).admin, request) == (403, "foreign-site")


@pytest.mark.parametrize("peer", ["10.0.0.7", "", "fe80::1%eth0", "::ffff:10.0.0.1", "nonsense"])
def test_far_callers_need_the_token(peer: str) -> None:
    assert refused(door(local_admin=True).admin, caller(peer, host="localhost")) == (401, "bad-token")


def test_a_wrong_token_is_refused_on_this_machine_too() -> None:
    wrong = caller("127.0.0.1", host="localhost", authorization="Bearer wrong")
    assert refused(door(local_admin=True).admin, wrong) == (401, "bad-token")


def test_metrics_are_open_unless_a_token_is_set() -> None:
    door().metrics(caller())
    shut = door(metrics_token_sha256=digest("scrape"))
    shut.metrics(caller(authorization="Bearer scrape"))
    shut.metrics(caller(authorization="Bearer admin"))
    assert refused(shut.metrics, caller(authorization="Bearer one")) == (401, "bad-token")
    assert refused(shut.metrics, caller()) == (401, "bad-token")


@pytest.mark.parametrize(
    "changes",
    [
        {"listen": ()},
        {"boxes": {"box1": ("s", "secret")}},
        {"boxes": {"box1": ("s", digest("one").upper())}},
        {"boxes": {"box1": ("s", digest("one")), "box2": ("s", digest("one"))}},
        {"admin_token_sha256": "secret"},
        {"admin_token_sha256": digest("one")},
        {"metrics_token_sha256": digest("two")},
    ],
)
def test_settings_that_would_let_the_wrong_one_in_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(StartError) as caught:
        door(**changes)
    assert caught.value.remedy
    assert "secret" not in str(caught.value)
