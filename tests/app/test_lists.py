"""Lists as this box sees them: its hosts found past its own filter, its exceptions' effects, its health."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import sqlite3
import threading
from datetime import date, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
import yaml

from filterd.app import listsnames
from filterd.app.boxhealth import box_values
from filterd.app.listshealth import write_lists
from filterd.app.listsnames import names_for, remember
from filterd.app.listsreport import exceptions_now, report
from filterd.app.listsupdate import Asked, activate_staged, guarded_here, update_lists
from filterd.app.selftestlog import KEPT, Evidence, evidence, store
from filterd.config.load import Config, load_config
from filterd.errors import FetchError, ListError
from filterd.lists import history
from filterd.rules.categories import load_categories
from filterd.wire import names

ROOT = Path(__file__).resolve().parents[2]
TODAY = date.today()  # noqa: DTZ011 - the day of this machine, as the product reads it


class Upstream:
    """A resolver that knows some addresses.

    Args:
        known: by name; what is not there does not exist.
    """

    def __init__(self, known: dict[str, list[str]]) -> None:
        self.known = known
        self.asked: list[str] = []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.sock.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                packet, client = self.sock.recvfrom(4096)
                query = dns.message.from_wire(packet)
                answer = dns.message.make_response(query)
                answer.flags |= dns.flags.RA
                question = query.question[0]
                name = question.name.to_text(omit_final_dot=True)
                self.asked.append(name)
                found = [one for one in self.known.get(name, []) if (":" in one) == (question.rdtype == 28)]
                if found:
                    answer.answer.append(dns.rrset.from_text(question.name, 60, 1, question.rdtype, *found))
                elif name not in self.known:
                    answer.set_rcode(dns.rcode.NXDOMAIN)
                self.sock.sendto(answer.to_wire(), client)


@pytest.fixture
def upstream():
    one = Upstream({"lists.test": ["127.0.0.1", "fd00::1"], "inside.test": ["10.0.0.1"]})
    yield one
    one.sock.close()


@pytest.fixture
def config(tmp_path: Path, upstream: Upstream):
    """Return a function: more of `lists` -> the configuration of a box."""

    def config(**lists) -> Config:
        path = tmp_path / "filterd.yaml"
        lists.setdefault("sets", [])
        model = {"state": str(tmp_path / "state"), "upstreams": [upstream.address], "lists": lists}
        path.write_text(yaml.safe_dump(model))
        found = load_config(path)
        found.state.make()
        return found

    return config


LOOPBACK = [ip_network("127.0.0.0/8")]


def test_a_host_is_found_past_this_box_s_own_filter(config, upstream):
    """The system does not know lists.test; the upstream that the filter would ask does."""
    found = asyncio.run(names_for(config(), LOOPBACK).pin("lists.test"))
    assert found == (ip_address("127.0.0.1"),)
    assert upstream.asked == ["lists.test", "lists.test"]


def test_a_private_address_from_an_upstream_is_refused(config):
    with pytest.raises(FetchError, match=r"inside.test leads to 10.0.0.1, which is not a public address"):
        asyncio.run(names_for(config(), LOOPBACK).pin("inside.test"))


def test_when_no_dns_answers_what_was_written_counts_then_what_worked_before(config, upstream):
    upstream.known.clear()
    made = config(update={"addresses": {"written.test": ["127.0.0.2"]}})
    remember(
        made.state.fetched,
        {"before.test": [ip_address("127.0.0.3")], "written.test": [ip_address("127.0.0.9")]},
    )
    hosts = names_for(made, LOOPBACK)
    assert asyncio.run(hosts.pin("written.test")) == (ip_address("127.0.0.2"),)
    assert asyncio.run(hosts.pin("before.test")) == (ip_address("127.0.0.3"),)
    with pytest.raises(FetchError, match=r"no address of nowhere.test is known"):
        asyncio.run(hosts.pin("nowhere.test"))


def test_what_is_remembered_is_bounded_and_may_be_damaged(config, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(listsnames, "_MOST_HOSTS", 5)
    folder = config().state.fetched
    for number in range(9):
        remember(folder, {f"h{number}.test": [ip_address("127.0.0.1")]})
    assert sorted(json.loads((folder / "addresses.json").read_bytes())) == [f"h{n}.test" for n in range(4, 9)]
    (folder / "addresses.json").write_bytes(b"[1]")
    remember(folder, {"new.test": [ip_address("127.0.0.1")]})
    assert list(json.loads((folder / "addresses.json").read_bytes())) == ["new.test"]


def exceptions(path: Path, *entries: dict) -> str:
    filled = [
        {
            "reason": "Seen by people",
            "author": "IT admin",
            "since": (TODAY - timedelta(days=30)).isoformat(),
            "review": (TODAY + timedelta(days=30)).isoformat(),
            **entry,
        }
        for entry in entries
    ]
    path.write_text(yaml.safe_dump({"format": 1, "exceptions": filled}))
    return str(path)


def test_r24_exceptions_say_what_they_do_and_where_a_lock_stands_above_them(config, tmp_path: Path):
    blocklists = tmp_path / "blocklists"
    shutil.copytree(ROOT / "blocklists", blocklists)
    local = blocklists / "local"
    (local / "drugs.txt").write_text("chem.example\n")
    (local / "malware.txt").write_text("locked.example\n")
    path = exceptions(
        tmp_path / "exceptions.yaml",
        {"name": "chem.example", "action": "allow"},
        {"name": "locked.example", "action": "allow", "review": (TODAY - timedelta(days=1)).isoformat()},
        {"name": "quiet.example", "action": "allow"},
        {"name": "bad.example", "action": "block", "category": "gambling"},
        {
            "name": "over.example",
            "action": "block",
            "category": "gambling",
            "until": (TODAY - timedelta(days=2)).isoformat(),
        },
    )
    made = config(catalogue=str(blocklists / "sources.yaml"), exceptions=path)
    activate_staged(made, watch=0)
    chem, locked, quiet, bad, over = exceptions_now(made)
    assert (chem.state, chem.effects) == ("stands", ("lists name it: drugs (local-drugs)",))
    assert locked.state == "overdue"
    assert locked.effects[0] == "lists name it: malware (local-malware)"
    assert locked.effects[1].startswith("no effect for grades-1-4, ")
    assert locked.effects[1].endswith(": locked malware")
    assert quiet.effects == ("no list names it any more: it may go",)
    assert (bad.state, bad.effects, over.state) == ("stands", (), "ended")
    found = write_lists(made)
    assert [one["name"] for one in found["exceptions_overdue"]] == ["locked.example"]
    assert box_values(made.state)["lists_overdue"] == 1


def test_an_update_without_lists_to_fetch_still_brings_changes_of_people_into_use(config, tmp_path: Path):
    path = tmp_path / "exceptions.yaml"
    made = config(exceptions=exceptions(path))
    assert update_lists(made, Asked()).staged.result == "activated"
    exceptions(path, {"name": "new-casino.example", "action": "block", "category": "gambling"})
    assert update_lists(made, Asked(watch=0)).staged.result == "activated"
    assert update_lists(made, Asked()).staged.result == "unchanged"
    assert [one.action for one in history.read(made.state.lists)] == ["activated", "activated"]


def test_the_report_counts_real_blocks_of_the_store_or_of_a_saved_answer(config, tmp_path: Path):
    made = config()
    with pytest.raises(ListError, match="there is no index yet"):
        report(made)
    activate_staged(made, watch=0)
    assert report(made).blocks_from == ""
    with sqlite3.connect(made.state.store) as connection:
        connection.execute("CREATE TABLE events (list_id TEXT, count INTEGER)")
        rows = [("local-gambling", 30), ("local-social", 10), ("", 5)]
        connection.executemany("INSERT INTO events VALUES (?, ?)", rows)
    connection.close()
    found = {one.id: (one.blocks, one.share) for one in report(made).worths}
    assert found["local-gambling"] == (30, 0.75)
    assert found["local-ads"] == (0, 0.0)
    saved = tmp_path / "events.json"
    saved.write_text(
        json.dumps({"events": [{"list": "local-ads", "count": 4}, {"list": "", "count": 9}], "next": None})
    )
    found = {one.id: one.blocks for one in report(made, saved).worths}
    assert (found["local-ads"], found["local-gambling"]) == (4, 0)
    saved.write_text("[]")
    with pytest.raises(ListError, match=r"no answer of /v1/events"):
        report(made, saved)


def test_r2_categories_without_a_source_stand_in_the_report(config):
    made = config()
    activate_staged(made, watch=0)
    missing = report(made).no_source
    assert {"selfharm", "eating", "csam", "extremism"} <= set(missing)
    assert "gambling" not in missing


def test_what_this_box_needs_must_stay_open(config, tmp_path: Path):
    made = config(bundle={"url": "https://region.example.kz/bundle", "keys": ["A" * 43 + "="]})
    found = guarded_here(made, load_categories(made.categories))
    assert found.open[names.from_text("region.example.kz")] == "the region's bundle"
    assert not any(why == "this box's endpoint" for why in found.open.values()), "127.0.0.1 is no name"


# Evidence and health


def one_test(number: int = 0, **more) -> Evidence:
    values = {
        "at": f"2026-11-23T08:00:{number:02d}+00:00",
        "server": "127.0.0.1:53",
        "school": "mektep-1",
        "policy": "p",
        "index": "i",
        "tested": 36,
        "failed": [],
        "no_source": [],
        "error": "",
        "results": {},
        **more,
    }
    return Evidence(**values)


def test_r19_evidence_is_kept_in_order_and_bounded(tmp_path: Path):
    path = tmp_path / "selftest.jsonl"
    for number in range(5):
        store(path, one_test(number))
    path.write_text(path.read_text() + "{half\n" + path.read_text() * 200)
    store(path, one_test(59))
    found = list(evidence(path))
    assert found[0] == one_test(59)
    assert len(path.read_text().splitlines()) == KEPT


def test_r19_the_last_self_test_reaches_health(config):
    state = config().state
    assert box_values(state) == {}
    store(state.selftests, one_test())
    assert box_values(state) == {"selftest_at": 1_795_420_800.0, "selftest_failed": 0.0}
    store(state.selftests, one_test(failed=["gambling", "doh"]))
    assert box_values(state)["selftest_failed"] == 2
    store(state.selftests, one_test(tested=0, error="no answer from 127.0.0.1:53"))
    assert box_values(state)["selftest_failed"] == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"[1]", b"{}", b'{"health": 1}', b'{"health": {"lists_failed": "x"}}', b"\xff", b"1"],
)
def test_health_never_fails_over_a_damaged_file(config, content):
    state = config().state
    state.lists_status.write_bytes(content)
    state.selftests.write_bytes(content)
    assert box_values(state) == {}


def test_r20_failed_and_old_lists_reach_health(config):
    made = config()
    found = write_lists(made)["health"]
    assert (found["lists_failed"], found["lists_oldest"], found["lists_held"]) == (0, 0, 0)
    history.write(
        made.state.lists, history.Event(1, "rolled-back", "000001-aaaaaaaa", by="x", hold_until=2**40)
    )
    assert write_lists(made)["health"]["lists_held"] == 1
