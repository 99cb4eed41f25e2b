"""A blocked lookup is stored at the endpoint exactly once, whatever dies or is lost; allowed ones never."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import secrets
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from _ask import ask, dig, question
from _endpoint import arrived, counts, events, get, metric, waiting
from _load import Load
from _programs import DNS, MONITOR, filterd, free_port, marked, until
from _proxy import Proxy
from _world import LITTLE, SENIOR, TEACHER

BLOCKED = "NXDOMAIN"


@pytest.fixture
def proxied(start, papers, unbound):
    """A filter whose deliveries go through a proxy."""
    port = free_port()
    proxy = Proxy(port)
    running = start(
        papers.config(
            unbound.server,
            workers=2,
            monitor={"listen": [f"127.0.0.1:{port}"]},
            delivery={"url": proxy.url},
        )
    )
    yield running, proxy
    proxy.close()


def unique(prefix):
    """Names that are asked for once each: what is stored twice shows."""
    return lambda number: f"{prefix}{number}.casino.example"


def blocked_load(running, prefix, **more):
    return Load(running.v4, unique(prefix), lambda _: {BLOCKED}, **{"rate": 150, **more})


def exactly_once(stored, prefix, asked):
    mine = {
        name: count for name, count in stored.items() if re.fullmatch(rf"{prefix}\d+\.casino\.example", name)
    }
    assert mine == {unique(prefix)(number): 1 for number in range(asked)}


def recovered(running, asking):
    """Wait until a name asked for from now on has arrived: after failures in a row retries wait longer."""
    name = asking.next()
    until(lambda: counts(running)[name], "a delivery", 90)


def test_what_an_event_says(school):
    name = "events.says.casino.example"
    ask(school.v4, name, source=SENIOR)
    arrived(school, [name])
    (event,) = events(school, name=name)
    at, pseudonym = event.pop("time"), event.pop("pseudonym")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:00\+00:00", at)
    assert re.fullmatch(r"[a-z2-7]{16}", pseudonym), "no address: a name that says nothing"
    assert event == {
        "school": "mektep-1",
        "group": "seniors",
        "tier": "senior",
        "domain": "casino.example",
        "name": name,
        "category": "gambling",
        "list": "test-gambling",
        "rule": "casino.example",
        "layer": "catalogue",
        "verdict": "block",
        "reason": "category",
        "count": 1,
    }


def test_curl_shows_the_blocked_lookup(school):
    """As the welcome says."""
    name = "curl.casino.example"
    assert dig(school.v4, name).status == BLOCKED
    arrived(school, [name])
    done = subprocess.run(
        ["curl", "-s", f"{school.url}/v1/events?limit=5&name={name}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [event["name"] for event in json.loads(done.stdout)["events"]] == [name]


def test_every_lookup_counts_whatever_way_it_was_answered(school):
    """UDP and TCP, every type, first and from memory, plain and with options; each device by itself."""
    name = "counted.casino.example"
    asked = 0
    for source in ("127.0.0.1", "127.0.0.2"):
        for rdtype in ("A", "AAAA", "HTTPS", "TXT", "TYPE65280"):
            for _ in range(6):
                ask(school.v4, name, rdtype, source=source)
                ask(school.v4, name, rdtype, source=source, edns=False)
                ask(school.v4, name.upper(), rdtype, source=source)
                asked += 3
            ask(school.v4, name, rdtype, tcp=True, source=source)
            asked += 1
    stored = arrived(school, [name], asked)
    assert stored[name] == asked
    assert len({event["pseudonym"] for event in events(school, name=name)}) == 2


def test_a_cloaked_name_is_told_by_what_was_asked(school):
    ask(school.v4, "cloaked.example", source=LITTLE)
    arrived(school, ["cloaked.example"])
    (event,) = [event for event in events(school, name="cloaked.example") if event["group"] == "little"]
    assert event["rule"] == "tracker.example"
    assert event["category"] == "ads"


def test_what_is_not_blocked_is_no_event(school):
    before = "not.blocked.casino.example"
    for name in ("mektep.example", "localhost", "use-application-dns.net", "missing.example", "x.local"):
        for rdtype in ("A", "HTTPS"):
            ask(school.v4, name, rdtype)
    ask(school.v4, "social.example", source=TEACHER)
    ask(school.v4, "refused.casino.example", source="127.9.9.9")
    ask(school.v4, before)  # the last: when it has arrived, all before it would have
    for _ in range(16):
        ask(school.v4, before)
    stored = arrived(school, [before])
    assert {event["verdict"] for event in events(school)} == {"block"}
    assert not [
        event for event in events(school) if event["group"] == "teachers" and event["category"] == "social"
    ]
    for name in ("mektep.example", "localhost", "use-application-dns.net", "missing.example", "x.local"):
        assert not stored[name]
    assert not stored["refused.casino.example"]


def test_names_of_illegal_content_are_not_shown(school):
    ask(school.v4, "secret-name.illegal.example")
    found = until(lambda: events(school, category="extremism"), "the event")
    assert all(event["name"] is event["domain"] is event["rule"] is None for event in found)
    assert not events(school, name="secret-name.illegal.example")
    assert not events(school, name="illegal.example")


def test_bad_deliveries_get_a_clear_4xx(school):
    url = f"{school.url}/v1/batches"
    token = (school.state / "box.token").read_text().strip()
    assert get(url, body=b"{}")[0] == 401
    assert get(url, body=b"{}", token="x" * 43)[0] == 401
    for body in (b"", b"{}", b"[]", b"\xff\xfe", b'{"box":1}', b"[" * 100_000):
        status, text = get(url, body=body, token=token)
        assert status in (400, 422), text
        assert json.loads(text)["detail"]
    assert get(f"{school.url}/v1/nothing")[0] == 404
    assert get(f"{school.url}/v1/events?limit=0")[0] == 400
    assert get(f"{school.url}/healthz")[0] == get(f"{school.url}/readyz")[0] == 200


def test_lost_acknowledgements_store_nothing_twice(proxied):
    running, proxy = proxied
    with blocked_load(running, "ack") as asking:
        for kind in ("cuts", "halves", "cuts"):
            before = proxy.lost
            setattr(proxy, kind, 1)
            until(lambda before=before: proxy.lost > before, "a lost answer")
            recovered(running, asking)
        outcome = asking.stop().clean()
    exactly_once(arrived(running, map(unique("ack"), range(outcome.asked))), "ack", outcome.asked)


def test_an_endpoint_that_was_down_gets_everything_once(proxied, start):
    running, proxy = proxied
    proxy.down = True
    with blocked_load(running, "down") as asking:
        asking.more(300)
        outcome = asking.stop().clean()
    until(lambda: sum(waiting(running.state).values()) >= outcome.asked, "the outbox")
    assert not counts(running)
    assert running.end() == 0, "ended and started again meanwhile"
    again = start(running.model, folder=running.folder)
    proxy.down = False
    exactly_once(arrived(again, map(unique("down"), range(outcome.asked))), "down", outcome.asked)
    assert not waiting(again.state)


@pytest.mark.timeout(300)
def test_a_killed_endpoint_gets_everything_once(proxied):
    """Killed at random moments, while answers to deliveries are lost as well."""
    running, proxy = proxied
    chance = random.Random(4)
    with blocked_load(running, "mon") as asking:
        for _ in range(2):
            asking.more(chance.randrange(20, 80))
            proxy.cuts = 1
            os.kill(running.child(MONITOR), signal.SIGKILL)
            recovered(running, asking)
        outcome = asking.stop().clean()
    exactly_once(arrived(running, map(unique("mon"), range(outcome.asked))), "mon", outcome.asked)


def test_what_was_durable_when_a_dns_process_was_killed_arrives_once(proxied):
    running, _ = proxied
    chance = random.Random(5)
    durable = set()

    def grows(wanted):
        # First the outbox, then the endpoint: what moves in between is seen here or there, or in both.
        durable.update(waiting(running.state), counts(running))
        return len(durable) > wanted

    with blocked_load(running, "dns") as asking:
        for _ in range(4):
            asking.more(chance.randrange(5, 40))
            wanted = len(durable) + 20
            until(lambda wanted=wanted: grows(wanted), "new events")
            for pid in running.children(DNS):
                os.kill(pid, signal.SIGKILL)
            until(lambda: running.workers == 2, "the replacements")
        assert not asking.stop().wrong
    last = unique("last")(0)
    for _ in range(20):
        assert ask(running.v4, last, timeout=30).blocked
    stored = arrived(running, [*durable, last])
    mine = {name: count for name, count in stored.items() if name.startswith("dns")}
    assert set(mine.values()) == {1}, "none is stored twice"


def test_a_power_cut_loses_nothing_that_was_durable(proxied, start):
    running, proxy = proxied
    proxy.down = True
    with blocked_load(running, "cut") as asking:
        asking.more(300)
        outcome = asking.stop().clean()
    until(lambda: sum(waiting(running.state).values()) >= outcome.asked, "the outbox")
    for pid in [running.process.pid, *marked(running.mark)]:
        os.kill(pid, signal.SIGKILL)
    running.process.wait()
    running.gone()
    proxy.down = False
    again = start(running.model, folder=running.folder)
    exactly_once(arrived(again, map(unique("cut"), range(outcome.asked))), "cut", outcome.asked)


def test_another_configuration_taken_over_under_load_costs_no_event(proxied, office, unbound):
    """Old and new DNS processes share their outboxes for a moment."""
    running, _ = proxied
    with blocked_load(running, "conf") as asking:
        for upstream in (office.port, unbound.port):
            asking.more(100)
            running.change(upstreams=[f"127.0.0.1:{upstream}"])
            assert running.run("reload").returncode == 0
        asking.more(100)
        outcome = asking.stop().clean()
    exactly_once(arrived(running, map(unique("conf"), range(outcome.asked))), "conf", outcome.asked)


def test_ctrl_c_under_load_costs_no_event(proxied):
    """What was answered was recorded, although the process ends in the same moment."""
    running, proxy = proxied
    proxy.down = True
    answered = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((running.v4.host, running.v4.port))
        sock.settimeout(0.5)
        for number in range(400):
            if number == 300:
                running.process.send_signal(signal.SIGINT)
            try:
                sock.send(question(unique("end")(number), edns=False).to_wire())
                sock.recv(4096)
            except (TimeoutError, ConnectionRefusedError):
                break
            answered.append(unique("end")(number))
    assert running.process.wait(20) == 0
    assert waiting(running.state) == dict.fromkeys(answered, 1)


def test_a_box_and_an_endpoint_elsewhere(start, papers, unbound, tmp_path):
    """``filterd serve`` and ``filterd monitor``, each with its own state; the endpoint starts later."""
    token = secrets.token_urlsafe(32)
    (tmp_path / "token").write_text(token)
    port = free_port()
    box = start(
        papers.config(
            unbound.server,
            box="box-7",
            delivery={"url": f"http://127.0.0.1:{port}", "token_file": str(tmp_path / "token")},
        ),
        command="serve",
    )
    assert not box.children(MONITOR)
    names = [f"far{number}.casino.example" for number in range(50)]
    for name in names:
        assert ask(box.v4, name).blocked
    until(lambda: len(waiting(box.state)) == 50, "the outbox")
    known = {"school": "mektep-1", "token_sha256": hashlib.sha256(token.encode()).hexdigest()}
    endpoint = start(
        papers.config(
            unbound.server, monitor={"listen": [f"127.0.0.1:{port}"], "boxes": {"box-7": known}}, box="region"
        ),
        command="monitor",
    )
    assert arrived(endpoint, names) == dict.fromkeys(names, 1)
    until(lambda: not waiting(box.state), "the acknowledgements")
    assert endpoint.end() == 0
    assert box.end() == 0


def test_allowed_lookups_are_counts_and_nothing_else(start, papers, unbound):
    """R23, school.md: names and addresses of allowed lookups stand nowhere: store, outbox, logs, metrics."""
    running = start(papers.config(unbound.server), args=["--log-level", "debug"])
    label, client = f"clinic-{secrets.token_hex(6)}", "127.0.231.177"
    allowed = (f"{label}.flood.example", f"{label}.missing.example", f"{label}.casino.example.kz")
    asked = 0
    for name in allowed:
        for rdtype in ("A", "AAAA", "HTTPS", "TXT"):
            for _ in range(5):
                ask(running.v4, name, rdtype, source=client)
                asked += 1
            ask(running.v4, name, rdtype, source=client, tcp=True)
            asked += 1
    ask(running.v4, "help.casino.example", source=client)  # who looks for help is nobody's business
    ask(running.v4, "blocked.casino.example", source=client)
    arrived(running, ["blocked.casino.example"])
    until(lambda: metric(running, "filterd_queries_total", outcome="allowed") >= asked + 1, "the counts")
    assert metric(running, "filterd_queries_total", outcome="allowed") == asked + 1
    assert metric(running, "filterd_queries_total", outcome="blocked", category="gambling") == 1
    assert not metric(running, "filterd_queries_total", category="allow_help")
    _, exposition = get(f"{running.url}/metrics")
    everything = [exposition, running.output.read_bytes()]
    files = [path for path in running.state.rglob("*") if path.is_file() and path.name != "index.mdb"]
    assert any(path.name == "monitor.sqlite" for path in files)
    assert any(path.suffix == ".outbox" for path in files)
    everything += [path.read_bytes() for path in files]
    running.end()
    everything += [path.read_bytes() for path in running.state.rglob("*") if path.is_file()]
    everything.append(running.output.read_bytes())
    for content in everything:
        for trace in (label.encode(), client.encode(), socket.inet_aton(client), b"help.casino.example"):
            if trace == b"help.casino.example" and content in _papers(running):
                continue
            assert trace not in content
    store = (running.state / "monitor.sqlite").read_bytes()
    assert b"blocked.casino.example" in store, "what is looked for would be found"


def _papers(running):
    """The index and the policy in force hold what lists and layers name."""
    folders = (running.state / "policies", running.state / "lists")
    return [path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()]


def test_metrics_are_fit_for_prometheus(school):
    _, body = get(f"{school.url}/metrics")
    done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"example" not in body, "no name of any site"
    assert b"127.0" not in body, "no client"


def test_no_value_of_health_is_unknown_to_the_endpoint(school):
    """A figure that a box reports and the endpoint does not know would be lost without a word."""
    until(lambda: metric(school, "filterd_box_last_seen_timestamp_seconds"), "a report")
    assert metric(school, "filterd_box_ignored_values_total") == 0


def test_files_are_for_their_owner_alone(school):
    assert Path(school.state).stat().st_mode & 0o777 == 0o700
    for name in ("box.secret", "box.token", "admin.token", "monitor.sqlite", "control.sock"):
        assert (school.state / name).stat().st_mode & 0o077 == 0, name
    for path in (school.state / "outbox").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_monitor_alone_says_what_is_wrong(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        done = filterd("monitor", "--state", str(tmp_path / "s"), "--monitor-listen", f"127.0.0.1:{port}")
    assert done.returncode == 1
    assert f"127.0.0.1 port {port}" in done.stderr
    assert "Traceback" not in done.stderr
