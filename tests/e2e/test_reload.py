"""Lists, policy and configuration change while questions come in: no answer is lost, none is wrong."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from _ask import ask
from _load import Load
from _programs import DNS, filterd, until
from _world import LISTED

FREE, BLOCKED = "198.51.100.7", "NXDOMAIN"
STEADY = ("casino.example", "k.flood.example", "www.bet.example", "l.flood.example", "tracker.example")
CHANGING = "new.flood.example"


def under_load(running, changes=CHANGING, *, then=BLOCKED, first=FREE, rate=400):
    """Ask for names whose answers never change, one whose answer does, and ever new ones."""

    def name(number):
        kind = number % 4
        if kind == 0:
            return changes
        return f"u{number}.flood.example" if kind == 1 else STEADY[number % len(STEADY)]

    def allowed(one):
        if one == changes:
            return {first, then}
        return {FREE} if "flood" in one else {BLOCKED}

    return Load(running.v4, name, allowed, rate=rate)


@pytest.fixture(scope="module")
def papers(shared_papers):
    return shared_papers


@pytest.fixture(scope="module")
def running(shared_start, papers, unbound):
    """One filter for all of these tests: each leaves it as it was."""
    return shared_start(papers.config(unbound.server, workers=2))


@pytest.fixture(autouse=True)
def restored(running, papers):
    """Put back what a test left changed, also if it failed."""
    files = (running.config, papers.school, papers.lists / "test" / "gambling.txt")
    before = [path.read_bytes() for path in files]
    yield
    if [path.read_bytes() if path.exists() else b"" for path in files] != before:
        for path, content in zip(files, before, strict=True):
            path.write_bytes(content)
        if running.process.poll() is None:
            assert running.run("reload").returncode == 0
            assert running.run("lists", "compile").returncode == 0


def test_a_new_index_is_switched_in_under_load(running, papers):
    with under_load(running) as asking:
        asking.more()
        papers.write_list("gambling", *LISTED["gambling"], CHANGING)
        with running.until_all("index_switched"):
            assert running.run("lists", "compile").returncode == 0
        asking.more()
        asking.stop().clean().switched(CHANGING, FREE, BLOCKED)
    with under_load(running) as asking:
        asking.more()
        papers.write_list("gambling", *LISTED["gambling"])
        with running.until_all("index_switched"):
            assert running.run("lists", "compile").returncode == 0
        asking.more()
        asking.stop().clean().switched(CHANGING, BLOCKED, FREE)


def test_a_compilation_that_fails_changes_nothing(running, papers):
    (papers.lists / "test" / "gambling.txt").unlink()
    with under_load(running, then=FREE) as asking:
        asking.more(100)
        done = running.run("lists", "compile")
        assert done.returncode == 1
        assert "gambling.txt" in done.stderr
        asking.more()
        asking.stop().clean()
    papers.write_list("gambling", *LISTED["gambling"])


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "no file"])
def test_a_damaged_index_is_refused_and_the_old_one_serves(running, damage):
    lists = running.state / "lists"
    good = lists / (lists / "current").readlink()
    bad = lists / "000009-deadbeef"
    bad.mkdir()
    index = bad / "index.mdb"
    content = (good / "index.mdb").read_bytes()
    if damage == "cut":
        index.write_bytes(content[: len(content) // 2])
    elif damage == "garbage":
        index.write_bytes(b"\xa5" * len(content))
    elif damage == "empty":
        index.write_bytes(b"")
    before = running.children(DNS)
    with under_load(running, then=FREE) as asking:
        with running.until_all("index_refused", 0 if damage != "no file" else -1):
            point_at(lists, bad.name)
        asking.more(500)
        asking.stop().clean()
    assert running.children(DNS) == before, "none died of it"
    point_at(lists, good.name)
    shutil.rmtree(bad)


def point_at(lists, version):
    (lists / "link").symlink_to(version)
    (lists / "link").replace(lists / "current")


def test_a_policy_is_taken_over_under_load(running, papers):
    """By SIGHUP, and back by the command."""
    with under_load(running) as asking:
        asking.more()
        papers.write_school(names={"allow": [], "block": [{"name": CHANGING, "reason": "A test"}]})
        running.reload()
        asking.more()
        asking.stop().clean().switched(CHANGING, FREE, BLOCKED)
    assert ask(running.v4, CHANGING).errors == [(17, f"rule: block {CHANGING} (subtree)")]
    with under_load(running) as asking:
        asking.more()
        papers.write_school()
        with running.until_all("policy_switched"):
            done = running.run("reload")
        assert re.fullmatch(r"in force: policy [0-9a-f]{12} of school mektep-1\n", done.stdout), done.stderr
        asking.more()
        asking.stop().clean().switched(CHANGING, BLOCKED, FREE)


def test_clients_change_their_group_under_load(running, papers):
    groups = [
        {"id": "pupils", "tier": "middle", "clients": []},
        {"id": "adults", "tier": "staff", "clients": ["127.0.0.1/32"]},
    ]
    with under_load(running, "social.example", first=BLOCKED, then="198.51.100.70") as asking:
        asking.more()
        papers.write_school(groups=groups)
        running.reload()
        asking.more()
        asking.stop().clean().switched("social.example", BLOCKED, "198.51.100.70")
    papers.write_school()
    running.reload()


WRONG = {
    "loosens what is locked": {"categories": {"block": [], "allow": ["adult"]}},
    "unknown key": {"grops": []},
    "unknown category": {"categories": {"block": ["gambing"], "allow": []}},
    "not YAML": None,
}


def test_a_wrong_policy_is_refused_and_the_old_one_serves(running, papers):
    with under_load(running, then=FREE) as asking:
        for kind, change in WRONG.items():
            if change is None:
                papers.school.write_text("school: [")
            else:
                papers.write_school(**change)
            done = running.run("reload")
            assert done.returncode == 1, kind
            assert re.search(r"school\.yaml:\d+:\d+: ", done.stderr), done.stderr
            assert "Traceback" not in done.stderr
            with running.until_all("reload_refused", 1):
                running.hang_up()
            (*_, line) = running.logged("reload_refused")
            assert "school.yaml:" in line["error"]
            asking.more(50)
        found = json.loads(running.run("status", "--json").stdout)
        assert found["last_reload_taken"] is False
        assert "school.yaml:" in running.run("status").stdout
        asking.stop().clean()
    papers.write_school()
    assert running.run("reload").returncode == 0
    assert "school.yaml" not in running.run("status").stdout


def test_another_configuration_is_taken_over_under_load(running, make_unbound, office):
    """New DNS processes read from the same sockets before the old ones end."""
    before = running.children(DNS)
    assert ask(running.v4, "which.example", "TXT").data == ['"one"']
    with under_load(running, then=FREE) as asking:
        asking.more()
        running.change(upstreams=[f"127.0.0.1:{office.port}"])
        assert running.run("reload").returncode == 0
        asking.more()
        asking.stop().clean()
    until(lambda: not set(before) & set(running.children(DNS)), "the end of the old processes")
    assert len(running.children(DNS)) == 2
    assert ask(running.v4, "which.example", "TXT").data == ['"office"']
    running.change()
    assert running.run("reload").returncode == 0
    assert ask(running.v4, "which.example", "TXT").data == ['"one"']


def test_a_wrong_configuration_is_refused_and_the_old_one_serves(running):
    before = running.children(DNS)
    with under_load(running, then=FREE) as asking:
        for keys, said in (
            ({"upstreams": []}, "upstreams"),
            ({"cache": {"size_mib": "much"}}, "size_mib"),
            ({"nonsense": 1}, "nonsense"),
            ({"listen": ["127.0.0.1:5353"]}, "listen changed, which a reload cannot take over"),
            ({"workers": 1}, "workers changed"),
        ):
            running.change(**keys)
            done = running.run("reload")
            assert done.returncode == 1
            assert said in done.stderr
            assert "Traceback" not in done.stderr
        asking.more(100)
        asking.stop().clean()
    assert running.children(DNS) == before
    running.change()
    assert running.run("reload").returncode == 0


def test_the_status_as_json_is_whole(running):
    found = json.loads(running.run("status", "--json").stdout)
    assert found["last_reload_taken"] is True
    assert filterd("--version").stdout.split()[-1] == found["version"]


def test_a_start_compiles_only_what_changed_and_goes_on_with_the_last_index(
    shared_start, papers, unbound, running
):
    """Last here: it ends the shared filter. A list that is gone must not leave a school without a filter."""

    def versions():
        return sorted(path.name for path in (running.state / "lists").iterdir() if path.is_dir())

    def again():
        return shared_start(papers.config(unbound.server), folder=running.folder)

    running.end()
    before = versions()
    second = again()
    assert versions() == before
    second.end()
    papers.write_list("games", "another.flood.example")
    third = again()
    until(lambda: ask(third.v4, "another.flood.example").blocked, "the new index")
    assert not ask(third.v4, "arcade.example").blocked
    third.end()
    (papers.lists / "test" / "games.txt").unlink()
    fourth = again()
    assert ask(fourth.v4, "casino.example").blocked
    assert ask(fourth.v4, "another.flood.example").blocked
    until(lambda: fourth.logged("lists_not_compiled"), "the list that is gone is told")
    (line,) = fourth.logged("lists_not_compiled")
    assert "games.txt" in line["error"]
