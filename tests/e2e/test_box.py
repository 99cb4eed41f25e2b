"""What the box itself keeps: learning sites counted, identities sealed, pseudonyms renewed, hints given."""

from __future__ import annotations

import json
import re
import sqlite3
import time

import pytest
import yaml
from _ask import ask
from _endpoint import events
from _programs import filterd, until

from filterd.app.boxhealth import last_selftest
from filterd.config.paths import StatePaths
from filterd.events.identities import look_up, read_keys


def fine(done) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


CANARY = "allow-edu.canary.filterd.test"


@pytest.fixture
def keys(papers, tmp_path):
    """A state folder with release keys, and the private halves."""
    state = tmp_path / "f" / "state"
    files = [tmp_path / "psychologist.key", tmp_path / "deputy.key"]
    fine(filterd("identity", "keys", *map(str, files), "--state", str(state)))
    return [read_keys(file)[0] for file in files]


def pseudonyms(running) -> set[str]:
    return {event["pseudonym"] for event in events(running)}


def test_r19_the_selftest_counts_the_learning_sites_that_answer(papers, start, unbound):
    papers.write_list("allow_edu", "mektep.example", "long.example", "missing.example", CANARY)
    sources = yaml.safe_load(papers.catalogue.read_text())
    for one in sources["sources"]:  # of many sites only a sample is asked for: here there are just three
        if one["category"] == "allow_edu":
            one["path" if "path" in one else "enabled"] = "test/allow_edu.txt" if "path" in one else False
    papers.catalogue.write_text(yaml.safe_dump(sources, allow_unicode=True))
    running = start(papers.config(unbound.server))

    def counted() -> bool:
        # On a busy machine an upstream may fail a lookup, and that is remembered for half a minute.
        found = re.search(r"^(\d) of 3 learning sites answered$", fine(running.run("selftest")), re.MULTILINE)
        assert found is not None
        assert int(found[1]) <= 2, "missing.example has no address"
        return found[1] == "2"

    until(counted, "the two sites that have an address", 100)
    carried = last_selftest(StatePaths(running.state))
    assert carried is not None
    assert (carried.learning_answered, carried.learning_tested, carried.failed) == (2, 3, [])
    assert "learning sites 2/3" in fine(running.run("selftest", "--evidence"))


def test_r10_an_identity_is_found_with_both_keys_and_nowhere_else(papers, start, unbound, tmp_path, keys):
    running = start(papers.config(unbound.server), folder=tmp_path / "f")
    ask(running.v4, "w.casino.example", source="127.0.0.77")
    (pseudonym,) = until(lambda: pseudonyms(running), "the event")
    store = running.state / "identities.sqlite"
    (device,) = until(lambda: store.exists() and sealed(store, pseudonym, keys), "the identity")
    assert device.address == "127.0.0.77"
    assert running.end() == 0
    for file in tmp_path.joinpath("f").rglob("*"):
        if file.is_file() and "papers" not in str(file):
            content = file.read_bytes()
            assert b"127.0.0.77" not in content, file
            assert bytes((127, 0, 0, 77)) not in content, file


def sealed(store, pseudonym, keys):
    try:
        return look_up(store, pseudonym, keys)
    except Exception:  # noqa: BLE001 - it is just being made
        return []


def test_renewed_pseudonyms_are_others_and_the_filter_need_not_restart(papers, start, unbound):
    running = start(papers.config(unbound.server))
    ask(running.v4, "a.casino.example")
    until(lambda: len(pseudonyms(running)) == 1, "the first pseudonym")
    before = (running.state / "box.secret").read_bytes()
    assert "another pseudonym from now on" in fine(running.run("identity", "renew"))
    assert (running.state / "box.secret").read_bytes() != before
    numbers = iter(range(1000))

    def another() -> bool:
        ask(running.v4, f"b{next(numbers)}.casino.example")
        return len(pseudonyms(running)) == 2

    until(another, "the second pseudonym")


def test_keys_are_not_made_twice(tmp_path):
    state = tmp_path / "state"
    fine(filterd("identity", "keys", str(tmp_path / "a"), "--state", str(state)))
    done = filterd("identity", "keys", str(tmp_path / "b"), "--state", str(state))
    assert done.returncode == 1
    assert "is there already" in done.stderr
    assert not (tmp_path / "b").exists()


def outbox_events(running) -> dict[str, str]:
    """Return hints by name of what waits in the outbox."""
    found = {}
    for path in (running.state / "outbox").glob("*.outbox"):
        connection = sqlite3.connect(path)
        try:
            for (payload,) in connection.execute("SELECT payload FROM batches WHERE kind = 0"):
                found |= {event["name"]: event["hints"] for event in json.loads(payload)["events"]}
        finally:
            connection.close()
    return found


def test_a_blocked_name_in_a_burst_and_after_an_advertising_name_is_hinted_at(papers, start, unbound):
    """The endpoint is away, so what the box recorded can be read in its outbox."""
    running = start(papers.config(unbound.server, delivery={"url": "http://127.0.0.1:9"}), command="serve")
    ask(running.v4, "alone.casino.example", source="127.0.0.5")
    for _ in range(3):  # from the memo too
        for number in range(20):
            ask(running.v4, f"n{number}.flood.example", source="127.0.0.6")
    ask(running.v4, "page.casino.example", source="127.0.0.6")
    ask(running.v4, "tracker.example", source="127.0.0.7")
    until(lambda: "tracker.example" in outbox_events(running), "the advertising name")
    ask(running.v4, "child.casino.example", source="127.0.0.7")
    found = until(lambda: len(out := outbox_events(running)) == 4 and out, "all events")
    assert found == {
        "alone.casino.example": "",
        "page.casino.example": "page_burst",
        "tracker.example": "",
        "child.casino.example": "ad_parent",
    }
    assert not any("flood" in name for name in found)


def test_the_uptime_of_a_running_filter_is_marked(papers, start, unbound):
    running = start(papers.config(unbound.server, delivery={"url": "http://127.0.0.1:9"}), command="serve")

    def marked() -> list[dict[str, int]]:
        connection = sqlite3.connect(running.state / "outbox" / "dns-0.outbox")
        try:
            rows = connection.execute("SELECT payload FROM batches WHERE kind = 1").fetchall()
        finally:
            connection.close()
        return [one for (payload,) in rows for one in json.loads(payload).get("alive", [])]

    (one,) = until(marked, "the mark")
    now = time.time()
    steps = [one["hour"] + 300 * bit for bit in range(12) if one["steps"] >> bit & 1]
    assert steps
    assert all(now - 900 < step <= now for step in steps)
