"""DNS over TLS and HTTPS by the programs that people use: kdig, dig, curl, dnspython, unbound, dnsperf."""

from __future__ import annotations

import datetime as dt
import http.server
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import dns.edns
import dns.exception
import dns.message
import dns.query
import pytest
import trustme
from _ask import Answer, ask, check, dig, framed, kdig, question, read, receive
from _endpoint import arrived, metric
from _programs import DNS, Server, filterd, free_port, until
from _world import ZONE, zone

NAME = "dns.school.test"
TRANSPORTS = ["dot", "doh", "doh1"]


class Certificates:
    """An authority, and the two files that its client keeps beside a filter."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = trustme.CA()
        self.ca, self.chain, self.key = (folder / name for name in ("ca.pem", "chain.pem", "key.pem"))
        self.authority.cert_pem.write_to_path(str(self.ca))
        self.write()

    def write(self, *names: str, days: int = 90) -> None:
        now = dt.datetime.now(dt.UTC)
        issued = self.authority.issue_cert(
            *(names or (NAME, "127.0.0.1")),
            not_before=now - dt.timedelta(days=100),
            not_after=now + dt.timedelta(days=days),
        )
        self.chain.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        self.key.write_bytes(issued.private_key_pem.bytes())

    @property
    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))


class Secure:
    """A filter with encrypted listeners."""

    def __init__(self, start, papers, certificates, *upstreams, **more):
        self.certificates = certificates
        self.dot, self.doh = (Server("127.0.0.1", free_port()) for _ in range(2))
        self.section = {
            "certificate": str(certificates.chain),
            "key": str(certificates.key),
            "name": NAME,
            "dot": [f"127.0.0.1:{self.dot.port}"],
            "doh": [f"127.0.0.1:{self.doh.port}"],
        }
        limits = {"queries_per_second": 0, "tls_connections_per_client": 500, "tls_idle": 20.0}
        config = papers.config(*upstreams, encrypted=self.section, limits=limits, **more)
        self.filterd = start(config)

    def ask(self, transport: str, query: dns.message.Message) -> Answer:
        """Ask by dnspython, and hold the reply against what every reply must be."""
        if transport == "dot":
            found = dns.query.tls(
                query, self.dot.host, 10, self.dot.port,
                ssl_context=self.certificates.context, server_hostname=NAME,
            )  # fmt: skip
        else:
            version = dns.query.HTTPVersion.H2 if transport == "doh" else dns.query.HTTPVersion.H1
            found = dns.query.https(
                query, f"https://{NAME}:{self.doh.port}/dns-query", 10, http_version=version,
                bootstrap_address="127.0.0.1", verify=self.certificates.context,
            )  # fmt: skip
        answer = Answer(found.to_wire(max_size=65_535), found)
        check(query, answer, tcp=True)
        return answer


@pytest.fixture(scope="module")
def secure(tmp_path_factory, shared_start, shared_papers, unbound, slow):
    """One filter with two workers, whose upstream for slow.example takes its time."""
    return Secure(
        shared_start,
        shared_papers,
        Certificates(tmp_path_factory.mktemp("certificates")),
        unbound.server,
        workers=2,
        zones={"slow.example": [f"127.0.0.1:{slow.server.port}"]},
    )


def trust(secure):
    return f"+tls-ca={secure.certificates.ca}", f"+tls-hostname={NAME}"


def test_kdig_over_tls(secure):
    assert kdig(secure.dot, *trust(secure), "+tls", "+short", "mektep.example", "AAAA").text.strip() == (
        "2001:db8:1::1"
    )
    blocked = kdig(secure.dot, *trust(secure), "+tls", "+padding", "casino.example")
    assert blocked.status == "NXDOMAIN"
    assert "category: gambling" in blocked.text
    assert "PADDING:" in blocked.text
    assert "Received 468 B" in blocked.text
    assert "PADDING" not in kdig(secure.dot, *trust(secure), "+tls", "+nopadding", "casino.example").text


def test_kdig_over_https(secure):
    for way in ("+https", "+https-get"):
        found = kdig(secure.doh, *trust(secure), way, "mektep.example", "MX")
        assert "HTTP/2" in found.text
        assert [line.split(" IN ")[1] for line in found.lines] == ["MX 10 mail.mektep.example."]
        assert "status: NXDOMAIN" in kdig(secure.doh, *trust(secure), way, "casino.example").text


def test_kdig_refuses_what_is_not_the_name(secure):
    ca = f"+tls-ca={secure.certificates.ca}"
    refused = kdig(secure.dot, ca, "+tls-hostname=other.test", "+tls", "x.example", fails=True)
    assert "certificate" in refused.text.lower()


def test_dig_over_tls_and_https(secure):
    for server, way in ((secure.dot, "+tls"), (secure.doh, "+https"), (secure.doh, "+https-get")):
        assert dig(server, way, "casino.example").status == "NXDOMAIN"
        assert len(dig(server, way, "large.example", "TXT").lines) == 40


def test_dig_keeps_a_connection_and_its_time(secure):
    found = dig(secure.dot, "+tls", "+keepopen", "+keepalive", "mektep.example", "casino.example")
    assert found.text.count("KEEPALIVE: 20.0 secs") == 2


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"hello {self.headers['Host']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_curl_finds_a_page_by_doh_and_no_blocked_one(secure, start, papers, unbound):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    own = Secure(start, papers, secure.certificates, unbound.server,
                 local_names={"lms.example": ["127.0.0.1"], "lms.casino.example": ["127.0.0.1"]})  # fmt: skip
    try:
        port = server.server_address[1]
        for version in ("--http1.1", "--http2"):
            assert curl(own, version, f"http://lms.example:{port}/").stdout == f"hello lms.example:{port}"
            blocked = curl(own, version, f"http://lms.casino.example:{port}/")
            assert blocked.returncode == 6, "could not resolve host"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def curl(secure, *args):
    url = f"https://{NAME}:{secure.doh.port}/dns-query"
    argv = ["curl", "-sS", "-m", "20", "--cacert", str(secure.certificates.ca), "--doh-url", url]
    argv += ["--resolve", f"{NAME}:{secure.doh.port}:127.0.0.1", *args]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


IN_ZONE = re.compile(r"^(\S+\.example)\. (?:\d+ )?(A|AAAA|MX|TXT|CAA|HTTPS|CNAME|SRV)\b", re.MULTILINE)
SPECIAL = ("localhost", "x.invalid", "a.onion", "1.1.168.192.in-addr.arpa", "use-application-dns.net")
NAMES = sorted(
    {found for found in IN_ZONE.findall(ZONE) if "*" not in found[0]}
    | {("casino.example", kind) for kind in ("TXT", "HTTPS", "ANY", "TYPE65280")}
    | {(name, "A") for name in ("nothing.example", *SPECIAL)}
    | {("version.bind", "TXT"), ("1xbet.com", "SVCB"), ("www.google.com", "A")}
)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_same_answers_as_over_tcp(secure, transport):
    """One handler decides: policy, special names, safe search, rebinding are the same on every transport."""
    for name, kind in NAMES:
        query = question(name, kind)
        plain = ask(secure.filterd.v4, query, tcp=True)
        found = secure.ask(transport, query)
        assert (found.rcode, found.records, found.errors) == (plain.rcode, plain.records, plain.errors), name


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_9462_svcb_leads_to_the_service(secure, transport):
    for name in ("_dns.resolver.arpa", f"_dns.{NAME}"):
        doh, dot = sorted(secure.ask(transport, question(name, "SVCB")).data)
        assert doh == (
            f'1 {NAME}. alpn="h2" port="{secure.doh.port}" ipv4hint="127.0.0.1" dohpath="/dns-query{{?dns}}"'
        )
        assert dot == f'2 {NAME}. alpn="dot" port="{secure.dot.port}" ipv4hint="127.0.0.1"'
        assert secure.ask(transport, question(name)).rcode == "NOERROR"
    assert secure.ask(transport, question(NAME)).data == ["127.0.0.1"], "and the name to its address"


def test_blocked_lookups_are_recorded_whatever_they_came_by(secure):
    names = [f"{transport}-1.casino.example" for transport in TRANSPORTS]
    for transport, name in zip(TRANSPORTS, names, strict=True):
        assert secure.ask(transport, question(name)).blocked
    stored = arrived(secure.filterd, names)
    assert {stored[name] for name in names} == {1}


def test_7858_answers_out_of_order_over_tls(secure):
    slow_one, quick = question("wait700.slow.example"), question("casino.example")
    with (
        socket.create_connection((secure.dot.host, secure.dot.port), 20) as sock,
        secure.certificates.context.wrap_socket(sock, server_hostname=NAME) as tls,
    ):
        tls.sendall(framed(slow_one.to_wire()) + framed(quick.to_wire()))
        assert read(receive(tls)).message.id == quick.id
        assert read(receive(tls)).message.id == slow_one.id


def test_a_resolver_that_forwards_over_tls(secure, tmp_path, make_unbound):
    """A real unbound in front: it verifies our name and asks us for everything."""
    extra = f"""\
  tls-cert-bundle: "{secure.certificates.ca}"
forward-zone:
  name: "flood.example."
  forward-tls-upstream: yes
  forward-addr: 127.0.0.1@{secure.dot.port}#{NAME}
forward-zone:
  name: "casino.example."
  forward-tls-upstream: yes
  forward-addr: 127.0.0.1@{secure.dot.port}#{NAME}
server:
"""
    before = make_unbound("@ 3600 IN SOA ns.root. h.root. 1 2 3 4 5\n@ 3600 IN NS ns.root.\n", extra=extra)
    for number in range(20):
        found = ask(before.server, f"u{number}.flood.example", filtered=False)
        assert found.data == ["198.51.100.7"]
    assert ask(before.server, "casino.example", filtered=False).rcode == "NXDOMAIN"


@pytest.mark.parametrize("mode", ["dot", "doh"])
def test_load_by_dnsperf(secure, tmp_path, mode):
    """Not one query lost, and few connections for many of them."""
    data = tmp_path / "queries"
    data.write_text("".join(f"{name} A\n" for name in ("mektep.example", "casino.example", "alias.example")))
    port = secure.dot.port if mode == "dot" else secure.doh.port
    argv = [
        "dnsperf",
        "-m",
        mode,
        "-s",
        "127.0.0.1",
        "-p",
        str(port),
        "-d",
        str(data),
        "-c",
        "20",
        "-n",
        "1500",
    ]
    if mode == "doh":
        argv += ["-O", f"doh-uri=https://{NAME}/dns-query"]
    done = subprocess.run([*argv, "-t", "20"], capture_output=True, text=True, timeout=100, check=False)
    assert "Queries completed:    4500 (100.00%)" in done.stdout, done.stdout + done.stderr


def test_metrics_tell_connections_and_the_certificate(secure):
    until(lambda: metric(secure.filterd, "filterd_encrypted_connections_total", transport="dot"), "metrics")
    assert metric(secure.filterd, "filterd_encrypted_connections_total", transport="doh")
    expiry = metric(secure.filterd, "filterd_certificate_expiry_timestamp_seconds")
    days = (expiry - dt.datetime.now(dt.UTC).timestamp()) / 86_400
    assert 80 < days < 100
    assert metric(secure.filterd, "filterd_box_ignored_values_total") == 0


def serial(secure, server):
    with (
        socket.create_connection((server.host, server.port), 20) as sock,
        secure.certificates.context.wrap_socket(sock, server_hostname=NAME) as tls,
    ):
        return tls.getpeercert()["serialNumber"]


def test_reload_takes_a_renewed_certificate_and_refuses_a_bad_one(start, papers, unbound, tmp_path):
    secure = Secure(start, papers, Certificates(tmp_path / "certs"), unbound.server, workers=2)
    first = serial(secure, secure.dot)
    assert serial(secure, secure.doh) == first
    assert f"encrypted DNS as {NAME}: DoT 127.0.0.1:{secure.dot.port}" in secure.filterd.run("status").stdout
    with secure.filterd.until_all("certificate_taken"):
        secure.certificates.write()
        done = secure.filterd.run("reload")
        assert done.returncode == 0, done.stderr
    assert {serial(secure, secure.dot) for _ in range(10)}.isdisjoint({first})

    second = serial(secure, secure.dot)
    secure.certificates.write("other.test")
    with secure.filterd.until_all("policy_switched"):
        done = secure.filterd.run("reload")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "is for other.test, not for dns.school.test" in done.stderr
    assert done.stdout.startswith("in force: policy "), "the policy is taken all the same"
    assert {serial(secure, server) for server in (secure.dot, secure.doh) for _ in range(5)} == {second}
    assert "not for dns.school.test" in secure.filterd.run("status").stdout

    moved = {**secure.section, "dot": ["127.0.0.1:1"]}
    secure.filterd.change(encrypted=moved)
    done = secure.filterd.run("reload")
    assert done.returncode == 1
    assert "encrypted changed, which a reload cannot take over (restart filterd)" in done.stderr


def test_a_process_that_dies_leaves_the_sockets_to_the_next(start, papers, unbound, tmp_path):
    secure = Secure(start, papers, Certificates(tmp_path / "certs"), unbound.server)
    pid = secure.filterd.child(DNS)
    os.kill(pid, signal.SIGKILL)
    for transport in TRANSPORTS:  # a connection waits in the socket until it is accepted
        assert secure.ask(transport, question("mektep.example")).data == ["198.51.100.1", "198.51.100.2"]
    assert secure.filterd.child(DNS) != pid
    assert secure.filterd.end() == 0
    assert "Traceback" not in secure.filterd.said


@pytest.fixture
def certificates(tmp_path):
    return Certificates(tmp_path / "certs")


def broken(certificates):
    def missing():
        certificates.chain.unlink()

    def expired():
        certificates.write(days=-1)

    def mismatched():
        certificates.key.write_bytes(certificates.authority.issue_cert(NAME).private_key_pem.bytes())

    return {"missing": missing, "expired": expired, "mismatched": mismatched}


@pytest.mark.parametrize(
    ("how", "message"),
    [("missing", "is missing"), ("expired", "expired on"), ("mismatched", "is not the key of")],
)
def test_check_and_start_say_what_is_wrong_with_a_certificate(start, papers, certificates, how, message):
    broken(certificates)[how]()
    starting = how == "expired"  # the clock may be what is wrong: then plain DNS has to go on
    waiting = Secure(lambda config: start(config, wait=starting), papers, certificates).filterd
    checked = filterd("check", str(waiting.config))
    assert checked.returncode == 1
    assert message in checked.stderr
    assert checked.stderr.count("\n") == 1
    if starting:
        waiting.logged("certificate_not_valid_now")
        assert ask(waiting.v4, "casino.example").blocked
        return
    assert waiting.process.wait(60) == 1
    assert message in waiting.said
    assert "Traceback" not in waiting.said


def test_a_port_in_use_is_said(start, papers, unbound, tmp_path, secure):
    taken = {**secure.section, "doh": []}
    config = papers.config(unbound.server, encrypted=taken)
    second = start(config, wait=False)
    assert second.process.wait(60) == 1
    assert f"port {secure.dot.port} on 127.0.0.1 is in use" in second.said


def test_5358_strangers_get_no_handshake(secure, tmp_path):
    """127.1.0.0/16 is outside of what this filter serves."""
    for server in (secure.dot, secure.doh):
        with (
            pytest.raises(OSError),
            socket.create_connection((server.host, server.port), 20, ("127.1.0.9", 0)) as sock,
            secure.certificates.context.wrap_socket(sock, server_hostname=NAME),
        ):
            pass


def test_a_flood_of_connections_is_bounded_and_udp_lives(secure):
    """A thousand half-open handshakes from a client: 500 are held for the deadline, in each process."""
    held = []
    try:
        for number in range(1200):
            sock = socket.create_connection((secure.dot.host, secure.dot.port), 20, ("127.0.0.99", 0))
            sock.sendall(b"\x16\x03\x01\x02\x00")
            held.append(sock)
            if number % 100 == 0:
                assert ask(secure.filterd.v4, "casino.example").blocked
                assert secure.ask("doh", question("casino.example")).blocked
        assert secure.ask("dot", question("casino.example")).blocked, "others are served"
    finally:
        for sock in held:
            sock.close()
    until(
        lambda: (
            metric(secure.filterd, "filterd_refusals_total", reason="dot-connections")
            or metric(secure.filterd, "filterd_refusals_total", reason="dot-handshake")
        ),
        "the count of them",
    )


def encrypted_unbound(make_unbound, certificates, tls, content=None):
    extra = f"""\
  interface: 127.0.0.1@{tls}
  tls-port: {tls}
  tls-service-key: "{certificates.key}"
  tls-service-pem: "{certificates.chain}"
"""
    return make_unbound(content, extra=extra)


def test_upstreams_over_tls_and_falling_back_is_told(start, papers, make_unbound, tmp_path):
    certificates, tls = Certificates(tmp_path / "certs"), free_port()
    secure = encrypted_unbound(make_unbound, certificates, tls, zone("secure"))
    plain = make_unbound(zone("plain"))
    running = start(
        papers.config(
            upstreams=[f"tls://127.0.0.1@{tls}#{NAME}", f"127.0.0.1:{plain.port}"],
            upstream_ca_file=str(certificates.ca),
            upstream_fallback="plain",
        )
    )
    assert ask(running.v4, "which.example", "TXT").data == ['"secure"']
    assert (
        f"upstreams: tls://127.0.0.1@{tls}#{NAME}, 127.0.0.1 port {plain.port}"
        in running.run("status").stdout
    )
    assert "WARNING" not in running.run("status").stdout
    secure.stop()
    until(lambda: ask(running.v4, "which.example", "TXT").data == ['"plain"'], "falling back")
    until(
        lambda: "no encrypted upstream answers; plain ones are asked" in running.run("status").stdout,
        "status",
    )


def test_a_file_of_authorities_that_cannot_be_read_is_said(start, papers):
    config = papers.config(upstreams=["tls://127.0.0.1#x.test"], upstream_ca_file="missing.pem")
    running = start(config, wait=False)
    assert running.process.wait(60) == 1
    assert "missing.pem cannot be used: No such file or directory (name a PEM file" in running.said
    checked = filterd("check", str(running.config))
    assert checked.returncode == 1
    assert "missing.pem cannot be used" in checked.stderr
