"""The commands as a person runs them: what they print, their status, and never a traceback."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path

import click
import pytest
import yaml
from _ask import ask
from _programs import COMMAND, filterd, free_port, until
from _world import SCHOOL, SENIOR, TEACHER

from filterd.cli import root
from filterd.config.paths import shipped

CATEGORIES = yaml.safe_load(shipped("blocklists", "categories.yaml").read_text())["categories"]


def commands(command=root.root, words=()):
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), (*words, name))


COMMANDS = tuple(commands())


def fine(done):
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def refused(done, *said, status=1):
    """The command ended with one clear line, its place and its remedy."""
    text = done.stdout + done.stderr
    assert done.returncode == status, text
    assert "Traceback" not in text
    for part in said:
        assert part in text
    return text


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_on_every_command(command):
    text = fine(filterd(*command, "--help"))
    assert text.startswith(f"Usage: filterd {' '.join(command)}".rstrip())
    for line in text.splitlines():
        assert len(line) <= 110
    if command:
        assert len(re.findall(r"^  \w", text, re.MULTILINE)) >= 1, "it says what it does"


def test_every_command_is_named_by_the_first_help():
    text = fine(filterd("--help"))
    for command in COMMANDS:
        if len(command) == 1:
            assert re.search(rf"^  {command[0]} ", text, re.MULTILINE)


def test_version():
    assert re.fullmatch(r"filterd, version \S+\n", fine(filterd("--version")))


# check


def test_check_says_what_it_checked(papers, tmp_path):
    config = tmp_path / "filterd.yaml"
    config.write_text(yaml.safe_dump({**papers.config(), "upstreams": ["192.0.2.53", "[2001:db8::53]:5300"]}))
    text = fine(filterd("check", str(config)))
    assert "all is right" in text
    assert "school mektep-1, 6 groups" in text
    assert "192.0.2.53 port 53, 2001:db8::53 port 5300" in text


def test_check_of_the_defaults():
    assert "all is right" in fine(filterd("check"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("listen: [127.0.0.1:5353]\nupstraems: [1.1.1.1]\n", ["filterd.yaml:2:1:", "upstraems", "upstreams"]),
        (
            "upstreams:\n  - 1.1.1.1\n  - dns.google\n",
            ["filterd.yaml:3:5:", "'dns.google' is not an IP address"],
        ),
        ("cache: {size_mib: 0}\n", ["filterd.yaml:1:", "size_mib"]),
        ("listen: [127.0.0.1:70000]\n", ["filterd.yaml:1:", "70000"]),
        ("limits:\n  tcp_idle: never\n", ["filterd.yaml:2:", "tcp_idle"]),
        ("a: &x [1]\nb: *x\n", ["filterd.yaml:", "alias"]),
        ("listen: [127.0.0.1:5353\n", ["filterd.yaml:"]),
        ("policy: {school: nowhere.yaml}\n", ["nowhere.yaml"]),
        ("lists: {catalogue: nowhere.yaml}\n", ["nowhere.yaml"]),
        ("- a list\n", ["filterd.yaml:"]),
        ("listen: \x00\n", ["filterd.yaml"]),
    ],
)
def test_check_names_the_place_of_a_mistake(tmp_path, text, said):
    config = tmp_path / "filterd.yaml"
    config.write_text(text)
    refused(filterd("check", str(config)), *said)


def test_check_of_bytes_that_are_no_text(tmp_path):
    config = tmp_path / "filterd.yaml"
    config.write_bytes(b"\xff\xfe\x00l\x00i")
    refused(filterd("check", str(config)), "filterd.yaml")


def test_check_of_a_file_that_is_not_there(tmp_path):
    refused(filterd("check", str(tmp_path / "none.yaml")), "none.yaml")
    refused(filterd("check", str(tmp_path)), status=2)


def test_check_names_the_place_of_a_mistake_in_the_policy(papers, tmp_path):
    config = tmp_path / "filterd.yaml"
    config.write_text(yaml.safe_dump(papers.config()))
    papers.write_school(
        default_group="all", groups=[{"id": "all", "tier": "middle", "categories": {"allow": ["adult"]}}]
    )
    refused(filterd("check", str(config)), "school.yaml:", "'adult' is locked at", "categories.yaml:")


def test_check_names_the_place_of_a_mistake_in_the_catalogue(papers, tmp_path):
    config = tmp_path / "filterd.yaml"
    config.write_text(yaml.safe_dump(papers.config()))
    papers.catalogue.write_text(papers.catalogue.read_text().replace("category: games", "category: gmaes", 1))
    refused(filterd("check", str(config)), "sources.yaml:", "unknown category 'gmaes'", "games")


# explain


def test_explain_tells_the_whole_way(school):
    text = fine(school.run("explain", "www.social.example", "--client", SENIOR))
    for part in (
        "name      www.social.example",
        f"client    {SENIOR}",
        "group     seniors: 127.0.1.32/28",
        "view      school mektep-1, group seniors, tier senior",
        "test-social (local) lists social.example (subtree) as social",
        "because: Exam weeks",
        "verdict   block (name_rule)",
        "what would change it",
        "other groups",
        "pupils: block (category), category social, list test-social",
        "teachers: allow (default)",
    ):
        assert part in text


def test_explain_says_what_the_filter_does(school):
    for name in ("mektep.example", "open.casino.example", "social.example"):
        for client in (SENIOR, TEACHER):
            text = fine(school.run("explain", name, "--client", client, "--type", "https"))
            (verdict,) = re.findall(r"^verdict   (\w+)", text, re.MULTILINE)
            assert (verdict == "block") == ask(school.v4, name, "HTTPS", source=client).blocked


def test_explain_does_not_display_illegal_names(school):
    text = fine(school.run("explain", "www.illegal.example"))
    assert "(not displayed)" in text
    assert "lists illegal.example" not in text


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("exa mple..kz",), "is not a domain name"),
        (("a" * 64 + ".kz",), "is not a domain name"),
        (("x.kz", "--client", "300.1.1.1"), "'300.1.1.1' is not an IP address"),
        (("x.kz", "--client", "here"), "'here' is not an IP address"),
        (("x.kz", "--mac", "02:00"), "'02:00' is not a MAC address"),
    ],
)
def test_explain_refuses_what_cannot_be(school, args, said):
    refused(school.run("explain", *args), said)


# lists


def test_lists_show(school):
    text = fine(school.run("lists", "show"))
    assert re.search(r"^test-gambling +gambling +local +3 +0 +in use$", text, re.MULTILINE)
    assert re.search(r"^ut1-\S+ .* off$", text, re.MULTILINE)
    assert re.search(
        r"^index \d{6}-[0-9a-f]{8} of \d{4}-\d\d-\d\d \d\d:\d\d UTC: \d+ names$", text, re.MULTILINE
    )
    assert "no source: " in text


def test_lists_find(school):
    text = fine(school.run("lists", "find", "WWW.Casino.Example."))
    assert text == "gambling        test-gambling (local) lists casino.example (subtree)\n"
    assert "(not displayed)" in fine(school.run("lists", "find", "illegal.example"))
    refused(school.run("lists", "find", "nowhere.example"), "no list covers nowhere.example")
    refused(school.run("lists", "find", "a..b"))


def test_lists_compile_reports_what_it_rejected(papers, tmp_path):
    config = tmp_path / "filterd.yaml"
    config.write_text(yaml.safe_dump(papers.config()))
    papers.write_list(
        "games", "good.example", "kz", "1.2.3.4", "bad..example", "# a comment", "other.example"
    )
    args = ("--config", str(config), "--state", str(tmp_path / "s"))
    text = fine(filterd("lists", "compile", "--verbose", *args))
    (line,) = re.findall(r"^test-games .*$", text, re.MULTILINE)
    assert re.match(r"test-games +games +2 names  ", line)
    assert re.search(r"^    line 2, column 1: .*: kz$", text, re.MULTILINE)
    assert re.search(r"^version 000001-[0-9a-f]{8} in use: \d+ names", text, re.MULTILINE)
    again = fine(filterd("lists", "compile", "--no-switch", *args))
    assert re.search(r"^version 000002-[0-9a-f]{8} made, not in use", again, re.MULTILINE)
    assert (tmp_path / "s" / "lists" / "current").readlink().name.startswith("000001-")


def test_lists_compile_refuses_a_list_that_is_not_there(papers, tmp_path):
    config = tmp_path / "filterd.yaml"
    config.write_text(yaml.safe_dump(papers.config()))
    (papers.lists / "test" / "games.txt").unlink()
    args = ("--config", str(config), "--state", str(tmp_path / "s"))
    refused(filterd("lists", "compile", *args), "games.txt", "'test-games' cannot be read")
    assert "no index yet" in fine(filterd("lists", "show", *args))


# selftest, status, reload


def test_selftest_is_dated_evidence_for_every_category(school):
    text = fine(school.run("selftest"))
    assert re.match(
        rf"self-test of 127\.0\.0\.1:{school.port} at \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC\n", text
    )
    assert re.search(r"^gambling +blocked +blocked +[\d.]+  ok$", text, re.MULTILINE)
    assert re.search(r"^allow_help +allowed +allowed ", text, re.MULTILINE)
    assert re.search(
        r"^csam +blocked +blocked +[\d.]+  ok +no source: only the canary is listed$", text, re.MULTILINE
    )
    count = len(re.findall(r"  ok\b", text))
    assert f"{count} of {count} as the policy says" in text
    assert count == len(CATEGORIES)


def test_selftest_as_json(school):
    lines = [json.loads(line) for line in fine(school.run("selftest", "--json")).splitlines()]
    assert {line["category"] for line in lines} == set(CATEGORIES)
    assert all(line["passed"] for line in lines)


def test_selftest_fails_when_a_category_does_not_work(school, unbound):
    """The upstream alone blocks nothing: what does not exist must not pass for blocked."""
    server = f"{unbound.server.host}:{unbound.server.port}"
    text = refused(school.run("selftest", "--server", server), "FAILED")
    assert re.search(r"^gambling +blocked +allowed +[\d.]+  FAILED", text, re.MULTILINE)


def test_selftest_without_a_filter_says_what_to_do(school):
    port = free_port()
    refused(
        school.run("selftest", "--server", f"127.0.0.1:{port}"),
        f"no answer from 127.0.0.1:{port}",
        "filterd run",
    )
    refused(
        school.run("selftest", "--server", "nowhere"), "--server", "'nowhere' is not an IP address", status=2
    )


def test_status(school):
    found = json.loads(fine(school.run("status", "--json")))
    assert found["school"] == "mektep-1"
    assert found["listen"] == [f"127.0.0.1:{school.port}", f"[::1]:{school.port}"]
    names = [process["name"] for process in found["processes"]]
    assert names == [*(f"dns-{number}" for number in range(school.workers)), "monitor"]
    assert all(process["ready"] for process in found["processes"])
    assert "filterd" in fine(school.run("status"))


def test_status_and_reload_without_a_filter(tmp_path):
    for command in ("status", "reload"):
        refused(filterd(command, "--state", str(tmp_path)), "no filter answers at", "filterd run")


# mistakes at the start


@pytest.mark.parametrize(
    "args",
    [
        ("run", "--lisen", "127.0.0.1:5353"),
        ("frobnicate",),
        ("explain",),
        ("explain", "x.kz", "--type", "NOSUCH"),
        ("run", "--log-level", "loud"),
        ("lists", "compress"),
    ],
    ids=" ".join,
)
def test_a_misspelt_command_line_is_a_usage_error(args):
    text = refused(filterd(*args), "Usage: filterd", status=2)
    assert "Try 'filterd" in text
    assert "Error: " in text


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--listen", "127.0.0.1:99999"), ["command line", "'99999' is not a port"]),
        (("--listen", "everywhere"), ["command line", "'everywhere' is not an IP address", "127.0.0.1:53"]),
        (("--upstream", "dns.google"), ["command line", "'dns.google' is not an IP address"]),
        (("--monitor-listen", "nowhere:1"), ["command line", "'nowhere' is not an IP address"]),
        (("--config", "none.yaml"), ["none.yaml"]),
        (("--listen", "192.0.2.1:5300"), ["this machine has no address 192.0.2.1", "ip address"]),
    ],
    ids=" ".join,
)
def test_a_wrong_value_on_the_command_line_is_one_clear_line(tmp_path, args, said):
    refused(filterd("run", "--state", str(tmp_path / "s"), *args, cwd=tmp_path), *said)


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_port_in_use(papers, tmp_path, kind):
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        if kind == socket.SOCK_STREAM:
            holder.listen()
        args = ("--state", str(tmp_path / "s"), "--listen", f"127.0.0.1:{port}")
        refused(filterd("run", *args), f"port {port} on 127.0.0.1 is in use", "ss -lnptu")


def test_the_endpoints_port_in_use(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        dns = free_port()
        args = ("--listen", f"127.0.0.1:{dns}", "--monitor-listen", f"127.0.0.1:{port}")
        text = refused(
            filterd("run", "--state", str(tmp_path / "s"), *args), f"127.0.0.1 port {port}", "in use"
        )
        assert "monitor ended with status 1 before it was ready" in text


def test_a_second_filter_on_the_same_state_is_refused(school):
    refused(school.run("run"), "another filterd runs with the state folder", "--state")
    assert ask(school.v4, "casino.example").blocked, "the first one is not disturbed"


def test_a_state_folder_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("in the way")
    refused(filterd("run", "--state", str(tmp_path / "file")), status=2)
    refused(
        filterd("run", "--state", str(tmp_path / "file" / "s")), "cannot write to the state folder", "--state"
    )


def test_no_permission(tmp_path):
    """Root without its capabilities is a user like any other."""
    state = tmp_path / "s"
    state.mkdir(mode=0o500)
    plain = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", COMMAND, "run", "--state"]
    done = subprocess.run([*plain, str(state)], capture_output=True, text=True, timeout=60, check=False)
    refused(done, f"cannot write to the state folder {state}: Permission denied")
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) > 53:
        argv = [*plain, str(tmp_path / "t"), "--listen", "127.0.0.1:53"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        refused(done, "no permission to listen on 127.0.0.1:53", "CAP_NET_BIND_SERVICE")


def test_output_into_a_closed_pipe_is_no_crash(school):
    shell = f"{COMMAND} lists show --config {school.config} --state {school.state} | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", shell], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_simulate_over_what_was_recorded(start, papers, unbound, tmp_path):
    filterd = start(papers.config(unbound.server))
    for name in ("casino.example", "www.casino.example", "illegal.example"):
        assert ask(filterd.v4, name).blocked
    new = tmp_path / "new.yaml"
    opened = {"allow": [{"name": "casino.example", "reason": "a trial"}]}
    new.write_text(yaml.safe_dump({**SCHOOL, "names": opened}, allow_unicode=True))
    words = ("policy", "simulate", str(new), "--recorded", "1", "--group", "pupils", "--json")

    def said():
        lines = [json.loads(line) for line in fine(filterd.run(*words)).splitlines()]
        return [line for line in lines if line["kind"] == "allowed"]

    until(lambda: said() and said()[0]["names"] == 2, "both lookups recorded")
    (line,) = said()
    assert (line["category"], sorted(line["most"])) == (
        "gambling",
        [["casino.example", 1], ["www.casino.example", 1]],
    )
    assert "illegal.example" not in json.dumps(said())
