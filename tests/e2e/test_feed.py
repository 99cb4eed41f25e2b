"""The policy as a response policy zone, loaded by a real BIND that then says what the filter says."""

from __future__ import annotations

import shutil

import dns.message
import dns.query
import dns.rcode
import pytest
from _ask import ask
from _programs import Program, free_port, until
from _world import TEACHER

ASKED = (
    "casino.example", "www.casino.example", "help.casino.example", "x.help.casino.example",
    "open.casino.example", "x.open.casino.example", "bet.example", "exact.example", "www.exact.example",
    "tracker.example", "deep.tracker.example", "social.example", "www.social.example", "arcade.example",
    "virus.example", "ruled.example", "mektep.example", "mask.icloud.com", "use-application-dns.net",
    "ipv4only.arpa", "nobody.flood.example", "a.b.c.casino.example",
)  # fmt: skip
GROUPS = {"pupils": "127.0.0.1", "teachers": TEACHER}

NAMED = """\
options {{
  directory "{folder}"; pid-file none; session-keyfile none; managed-keys-directory "{folder}";
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion yes; allow-query {{ any; }}; dnssec-validation no; empty-zones-enable no;
  forward only; forwarders {{ 127.0.0.1 port {upstream}; }};
  response-policy {{ zone "filterd.rpz"; }} qname-wait-recurse no;
}};
controls {{ }};
zone "filterd.rpz" {{ type primary; file "{zone}"; allow-query {{ none; }}; }};
"""


@pytest.fixture
def make_bind(tmp_path, unbound):
    started = []

    def make(zone):
        folder = tmp_path / f"bind-{len(started)}"
        folder.mkdir()
        port = free_port()
        path = folder / "named.conf"
        path.write_text(NAMED.format(folder=folder, port=port, upstream=unbound.server.port, zone=zone))
        bind = Program([shutil.which("named", path="/usr/sbin:/usr/bin"), "-g", "-c", str(path)], folder)
        started.append(bind)
        until(lambda: "rpz: filterd.rpz: reload done: success" in bind.said, "named")
        return port

    yield make
    for bind in started:
        bind.kill()


def of_bind(port, name):
    query = dns.message.make_query(name, "A")
    return dns.rcode.to_text(dns.query.udp(query, "127.0.0.1", timeout=20, port=port).rcode())


@pytest.mark.parametrize("group", GROUPS)
def test_bind_gives_the_same_verdicts(  # noqa: PLR0917 - fixtures
    start, papers, unbound, make_bind, tmp_path, group
):
    filterd = start(papers.config(unbound.server))
    zone = tmp_path / "zone"
    done = filterd.run("feed", "rpz", "--group", group, "--output", str(zone))
    assert done.returncode == 0, done.stderr
    assert "illegal.example" not in zone.read_text(), "names of illegal content are displayed nowhere (R1)"
    port = make_bind(zone)
    for name in ASKED:
        ours = ask(filterd.v4, name, source=GROUPS[group])
        blocked = ours.rcode == "NXDOMAIN" and (
            ours.blocked or name in {"mask.icloud.com", "use-application-dns.net"}
        )
        theirs = of_bind(port, name)
        assert (theirs == "NXDOMAIN") == (blocked or ours.rcode == "NXDOMAIN"), (name, ours.rcode, theirs)


def test_what_cannot_be_done_is_one_clear_line(start, papers, unbound, tmp_path):
    filterd = start(papers.config(unbound.server))
    for words, said in (
        (("--group", "nobody", "--output", str(tmp_path / "z")), "no group 'nobody' (there are: pupils, "),
        (
            ("--group", "pupils", "--output", str(tmp_path / "z"), "--zone", "a..b"),
            "'a..b' is not a name for a zone",
        ),
        (("--group", "pupils", "--output", "/nowhere/z"), "/nowhere/z: cannot be written"),
    ):
        done = filterd.run("feed", "rpz", *words)
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "z").exists()
