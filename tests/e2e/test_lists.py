"""The commands against a running filter and a real HTTPS server: what a box does by itself at night."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rcode
import pytest
import yaml

pytestmark = pytest.mark.timeout(300)  # many commands one after the other, each a process

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lists"))  # the HTTPS server stands there

from _programs import Filterd, filterd, until  # noqa: E402 - the folder above must be on the path first
from _server import HOSTS, Authority, Server  # noqa: E402

from filterd.app.boxhealth import box_values  # noqa: E402
from filterd.app.listsupdate import refusals  # noqa: E402
from filterd.config.load import load_config  # noqa: E402
from filterd.config.paths import StatePaths  # noqa: E402
from filterd.lists.signing import PrivateKey, keygen, public_text, read_key  # noqa: E402
from filterd.rules.yamlsource import load  # noqa: E402

NAMES = [f"bet-{number}.example" for number in range(300)]
LIST = "".join(f"{name}\n" for name in NAMES)
SCHOOL = {
    "format": 1,
    "school": "mektep-1",
    "title": {"kk": "Мектеп", "ru": "Школа", "en": "School"},
    "default_group": "pupils",
    "groups": [{"id": "pupils", "tier": "middle"}],
}


class Box:
    """A school's box: its papers, its configuration, and the filter that runs there.

    Args:
        folder: for all of it.
        server: where its lists come from.
        ca_file: the authority that the server's certificate is of.
        upstream: where it asks.
        lists: more of `lists` in its configuration.
    """

    def __init__(self, folder: Path, server: Server, ca_file: Path, upstream: str, **lists: Any) -> None:
        folder.mkdir(parents=True)
        self.school = folder / "school.yaml"
        self.school.write_text(yaml.safe_dump(SCHOOL, allow_unicode=True))
        shutil.copytree(ROOT / "blocklists", folder / "blocklists")
        catalogue = yaml.safe_load((ROOT / "blocklists/sources.yaml").read_text())
        catalogue["sources"].append(
            {
                "id": "betting",
                "title": "Betting",
                "url": server.url("/list"),
                "format": "domains",
                "category": "gambling",
                "origin": "public",
                "licence": "MIT",
                "enabled": False,
            }
        )
        catalogue["sets"] = {"test": {"title": "Test", "default": True, "lists": ["betting"]}}
        path = folder / "blocklists" / "sources.yaml"
        path.write_text(yaml.safe_dump(catalogue, allow_unicode=True))
        self.config = {
            "policy": {"school": str(self.school)},
            "upstreams": [upstream],
            "lists": {
                "catalogue": str(path),
                "categories": str(path.with_name("categories.yaml")),
                "update": {
                    "ca_file": str(ca_file),
                    "allow_private": ["127.0.0.0/8"],
                    "addresses": {"lists.test": ["127.0.0.1"], "region.test": ["127.0.0.1"]},
                    "watch": 0,
                },
                **lists,
            },
            "workers": 1,
        }
        self.filterd = Filterd(folder / "run", self.config)

    def blocks(self, name: str) -> bool:
        """Return whether a name is blocked, by the extended error of the answer (RFC 8914)."""
        server = self.filterd.v4
        query = dns.message.make_query(name, "A", use_edns=True)
        answer = dns.query.udp(query, server.host, 10, server.port)
        return any(getattr(option, "code", None) in {15, 16, 17} for option in answer.options)

    def run(self, *args: str):
        return self.filterd.run(*args)

    def update(self, *args: str) -> dict[str, Any]:
        done = self.run("lists", "update", "--json", *args)
        assert "Traceback" not in done.stderr, done.stderr
        return {"code": done.returncode, **json.loads(done.stdout)}


def counted(box: Box) -> int:
    """Return how many lookups the filter has told of."""
    found = refusals(load_config(box.filterd.config, {"state": str(box.filterd.state)}))
    return found.lookups if found is not None else 0


@pytest.fixture(scope="module")
def upstream():
    """The address of an upstream that knows no name, and says so at once."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                packet, client = sock.recvfrom(4096)
                query = dns.message.from_wire(packet)
                answer = dns.message.make_response(query)
                answer.set_rcode(dns.rcode.NXDOMAIN)
                sock.sendto(answer.to_wire(), client)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"127.0.0.1:{sock.getsockname()[1]}"
    sock.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def server(authority: Authority):
    with Server(authority.server_context(*HOSTS)) as running:
        yield running


@pytest.fixture
def box(tmp_path: Path, server: Server, authority, upstream: str):
    """Return a function that starts a box; ended with the test."""
    started: list[Box] = []

    def make(name: str = "box", **lists: Any) -> Box:
        one = Box(tmp_path / name, server, authority.file, upstream, **lists)
        started.append(one)
        one.filterd.wait()
        return one

    yield make
    for one in started:
        one.filterd.kill()


def test_r20_an_update_reaches_the_running_filter_and_a_bad_one_does_not(box, server):
    page = server.put("/list", LIST)
    one = box()
    assert not one.blocks("bet-1.example")
    found = one.update()
    assert (found["code"], found["last"]["result"]) == (0, "activated")
    until(lambda: one.blocks("www.bet-1.example"), "the new index")
    page.content = b"<html>Hotel Wi-Fi</html>"
    found = one.update()
    assert (found["code"], found["health"]["lists_failed"]) == (1, 1.0)
    told = one.run("lists", "status")
    assert told.returncode == 1
    assert "a web page instead of a list" in told.stdout
    assert one.blocks("bet-2.example"), "the last good list serves"

    # Going back, by hand; and nothing comes back by itself.
    done = one.run("lists", "rollback", "--by", "Асель", "--why", "a test")
    assert done.returncode == 0, done.stderr
    until(lambda: not one.blocks("bet-1.example"), "the index before")
    page.content = (LIST + "new.example\n").encode()
    assert one.update()["last"]["result"] == "held"
    assert "held until" in one.run("lists", "status").stdout
    assert "rolled-back" in one.run("lists", "history").stdout
    assert one.run("lists", "activate", "--by", "Асель").returncode == 0
    until(lambda: one.blocks("bet-1.example"), "the newest index")
    assert one.update()["code"] == 0
    until(lambda: one.blocks("new.example"), "the update after the hold")

    # A refused copy, accepted by a person.
    page.content = "".join(f"{name}\n" for name in NAMES[:100]).encode()
    assert one.update()["code"] == 1
    assert "shrank from 301 to 100 entries" in one.run("lists", "status").stdout
    assert one.run("lists", "accept", "betting", "--by", "Асель", "--why", "they cleaned up").returncode == 0
    assert one.update("--no-fetch")["last"]["result"] == "activated"
    until(lambda: not one.blocks("bet-200.example"), "the accepted copy")
    assert "accepted" in one.run("lists", "history").stdout
    report = json.loads(one.run("lists", "report", "--json").stdout)
    assert {"betting", "local-gambling"} <= {item["id"] for item in report["worths"]}
    assert "selfharm" in report["no_source"]


def test_a_list_that_breaks_the_school_is_taken_back_by_itself(box, server):
    """Lookups flow; a new list names what everybody uses; the refusals show it within seconds."""
    page = server.put("/list", LIST)
    one = box()
    assert one.update()["code"] == 0
    stop = threading.Event()

    def pupils() -> None:
        while not stop.is_set():
            for number in range(40):
                one.blocks(f"www{number}.everybody.example")
            time.sleep(0.05)

    thread = threading.Thread(target=pupils)
    thread.start()
    try:
        until(lambda: counted(one) > 600, "the filter's own count of lookups")
        page.content = (LIST + "everybody.example\n").encode()
        found = one.update("--watch", "60")
    finally:
        stop.set()
        thread.join()
    assert (found["code"], found["last"]["result"]) == (1, "rolled-back"), found["last"]
    assert "lookups were blocked, 0% before" in found["last"]["why"]
    until(lambda: not one.blocks("www.everybody.example"), "the index before")
    assert one.update()["last"]["result"] == "held"


def test_r19_self_tests_leave_dated_evidence_that_reaches_health(box, server):
    server.put("/list", LIST)
    one = box()
    assert one.run("selftest").returncode == 0
    one.filterd.end()
    assert one.run("selftest").returncode == 1, "nothing answers"
    lines = one.run("selftest", "--evidence", "--json").stdout.splitlines()
    first, second = (json.loads(line) for line in lines)
    assert (first["school"], first["failed"], first["error"]) == ("mektep-1", [], "")
    assert first["tested"] == len(first["results"]) > 30
    assert first["results"]["gambling"][:2] == ["blocked", "blocked"]
    assert "selfharm" in first["no_source"]
    assert "nothing listens there" in second["error"]
    values = box_values(StatePaths(one.filterd.state))
    assert values["selftest_failed"] == 1
    assert abs(values["selftest_at"] - time.time()) < 60


def test_a_bundle_brings_policy_and_lists_or_nothing_at_all(box, server, tmp_path, authority):
    key = tmp_path / "region.key"
    public = keygen(key)
    server.put("/list", LIST)
    region = box("region")
    assert region.update()["code"] == 0
    baseline = tmp_path / "baseline.yaml"

    def publish(serial: int, signed_by: Path = key, **changes: Any) -> None:
        found = dict(load(ROOT / "policies/baseline.yaml").data)
        found.update(changes)
        baseline.write_text(yaml.safe_dump(found, allow_unicode=True))
        model = yaml.safe_load(region.filterd.config.read_text())
        model["policy"]["baseline"] = str(baseline)
        config = tmp_path / "region.yaml"
        config.write_text(yaml.safe_dump(model, allow_unicode=True))
        out = tmp_path / "bundle"
        about = ["--serial", str(serial), "--region", "almaty", "--key", str(signed_by)]
        where = ["--config", str(config), "--state", str(region.filterd.state)]
        done = filterd("bundle", "build", str(out), *about, *where)
        assert done.returncode == 0, done.stderr
        server.put("/bundle", out.read_bytes())

    publish(1)
    one = box("school", bundle={"url": server.url("/bundle", "region.test"), "keys": [public]})
    assert not one.blocks("bet-1.example")
    assert one.update()["health"]["bundle_serial"] == 1
    until(lambda: one.blocks("bet-1.example"), "the region's list")
    before = json.loads(one.run("status", "--json").stdout)["policy"]

    # The next one blocks a name for everybody: the policy is taken without a restart.
    publish(
        2,
        names={"allow": [], "block": [{"name": "ruled.example", "reason": "By the region", "locked": True}]},
    )
    assert one.update()["health"]["bundle_serial"] == 2
    until(lambda: one.blocks("ruled.example"), "the region's policy")
    assert json.loads(one.run("status", "--json").stdout)["policy"] != before
    assert "bundle 2" in one.run("policy", "log").stdout

    # What is not right is refused as a whole, and the one before goes on.
    def refused(told: str) -> None:
        found = one.update()
        assert (found["code"], found["bundle"]) == (1, 2), found["last"]
        assert told in found["last"]["why"]
        assert one.blocks("ruled.example")
        assert one.blocks("bet-1.example")

    other = tmp_path / "other.key"
    keygen(other)
    publish(3, signed_by=other)
    refused("not signed by a key that is trusted here")
    publish(1)
    refused("bundle 1 is not newer: 2 is in force")
    publish(3)
    server.pages["/bundle"].content = server.pages["/bundle"].content[:-2000]
    refused("the bundle is cut")

    # A region that locks what a school allows: that school says so, and takes it once it is put right.
    school = {**SCHOOL, "categories": {"allow": ["games"]}}
    one.school.write_text(yaml.safe_dump(school, allow_unicode=True))
    assert one.run("reload").returncode == 0
    publish(5, tiers={"middle": {"games": "X"}, "primary": {}, "senior": {}, "staff": {}, "guest": {}})
    refused_why = one.update()["last"]["why"]
    assert "'games' is locked at" in refused_why
    assert one.update()["last"]["why"] == refused_why, "asked again without fetching it again"
    one.school.write_text(yaml.safe_dump(SCHOOL, allow_unicode=True))
    found = one.update()
    assert (found["code"], found["bundle"]) == (0, 5), found["last"]
    assert "bundle 5 of almaty" in one.run("bundle", "show").stdout
    assert not one.blocks("ruled.example")


def test_the_private_key_signs_where_nothing_else_is(tmp_path, box, server):
    server.put("/list", LIST)
    region = box("region")
    region.update()
    key, out, signed = tmp_path / "key", tmp_path / "unsigned", tmp_path / "signed"
    done = filterd("bundle", "keygen", str(key))
    public = public_text(read_key(key))
    assert public in done.stdout
    assert region.run("bundle", "build", str(out), "--serial", "9", "--region", "almaty").returncode == 0
    assert filterd("bundle", "verify", str(out), "--public", public).returncode == 1
    assert filterd("bundle", "sign", str(out), "--key", str(key), "--out", str(signed)).returncode == 0
    done = filterd("bundle", "verify", str(signed), "--public", public)
    assert (done.returncode, "signature and parts are right" in done.stdout) == (0, True)
    done = filterd("bundle", "verify", str(signed), "--public", public_text(PrivateKey.generate()))
    assert done.returncode == 1
    assert "not signed by a key that is trusted here" in done.stderr
