"""Upstreams over DNS over TLS and HTTPS (RFC 7858, 8484): a real unbound, and scripted ones gone wrong."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
import subprocess
import time

import dns.message
import dns.query
import h2.config
import h2.connection
import h2.events
import pytest
import trustme

from filterd.resolver.settings import UpstreamAddress
from filterd.wire.padding import QUERY_BLOCK

NAME = "dns.upstream.test"
KINDS = ["tls", "https"]

UNBOUND = """\
server:
  interface: 127.0.0.1@{tls}
  interface: 127.0.0.1@{https}
  tls-port: {tls}
  https-port: {https}
  tls-service-key: "{folder}/key.pem"
  tls-service-pem: "{folder}/cert.pem"
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  logfile: "{folder}/log"
  access-control: 127.0.0.0/8 allow
  incoming-num-tcp: 200
  local-data: "www.mektep.example. 300 IN A 198.51.100.1"
  local-data: "type.mektep.example. 300 IN TYPE65280 \\# 4 c0ffee00"
{large}
  local-zone: "flood.example." redirect
  local-data: "flood.example. 300 IN A 198.51.100.7"
remote-control:
  control-enable: no
"""


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def free_ports(count):
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in socks]


@pytest.fixture(scope="session")
def real(authority, tmp_path_factory, ca_file):
    """A real unbound that serves both kinds: its ports by kind."""
    folder = tmp_path_factory.mktemp("unbound-tls")
    issued = authority.issue_cert(NAME, "127.0.0.1")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    (folder / "cert.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    tls, https = free_ports(2)
    large = "\n".join(
        f'  local-data: "large.mektep.example. 300 IN TXT \\"{number:03d}{"x" * 200}\\""'
        for number in range(40)
    )
    (folder / "unbound.conf").write_text(UNBOUND.format(tls=tls, https=https, folder=folder, large=large))
    process = subprocess.Popen(["/usr/sbin/unbound", "-c", str(folder / "unbound.conf")])
    try:
        limit = time.monotonic() + 60
        while True:
            assert time.monotonic() < limit, (folder / "log").read_text()
            with contextlib.suppress(OSError, dns.exception.DNSException):
                dns.query.tls(
                    dns.message.make_query("www.mektep.example", "A"), "127.0.0.1", 2, tls, verify=ca_file
                )
                break
            time.sleep(0.05)
        yield {"tls": tls, "https": https}
    finally:
        process.terminate()
        process.wait()


def address(kind, port, name=NAME):
    return UpstreamAddress("127.0.0.1", port, kind, name, "/dns-query" if kind == "https" else "")


@pytest.fixture
def trusting(make_asking, ca_file):
    """As `make_asking`, with the tests' authority trusted and little patience."""

    async def make(*upstreams, **settings):
        return await make_asking(*upstreams, ca_file=ca_file, fetch_timeout=1.5, **settings)

    return make


@pytest.fixture(params=KINDS)
async def asking(request, make_asking, real, ca_file):
    return await make_asking(address(request.param, real[request.param]), ca_file=ca_file)


async def test_answers_arrive_and_one_connection_serves_all(asking):
    assert (await asking("www.mektep.example")).data == ["198.51.100.1"]
    assert (await asking("type.mektep.example", "TYPE65280")).data == [r"\# 4 c0ffee00"]
    answers = await asyncio.gather(*(asking(f"n{number}.flood.example") for number in range(90)))
    assert {tuple(answered.data) for answered in answers} == {("198.51.100.7",)}
    assert asking.health["secure_opened"] == 1
    assert asking.health["tcp_opened"] == asking.health["udp_sockets"] == 0
    assert asking.health["upstream_0_up"] == 1


async def test_large_answers_come_whole(asking):
    assert len((await asking("large.mektep.example", "TXT", transport="tcp")).data) == 40


@pytest.mark.parametrize("kind", KINDS)
async def test_an_address_in_the_certificate_is_a_name_too(make_asking, real, ca_file, kind):
    asking = await make_asking(address(kind, real[kind], "127.0.0.1"), ca_file=ca_file)
    assert (await asking("www.mektep.example")).data == ["198.51.100.1"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wrong_name_is_refused(make_asking, real, ca_file, kind):
    asking = await make_asking(address(kind, real[kind], "other.test"), ca_file=ca_file)
    answered = await asking("www.mektep.example")
    assert answered.rcode == "SERVFAIL"
    assert answered.codes == [23]
    assert asking.health["secure_unverified"] >= 1


@pytest.mark.parametrize("kind", KINDS)
async def test_an_authority_that_the_system_does_not_know_is_refused(make_asking, real, kind):
    asking = await make_asking(address(kind, real[kind]))
    assert (await asking("www.mektep.example")).rcode == "SERVFAIL"
    assert asking.health["secure_unverified"] >= 1


class Scripted:
    """An upstream over TLS or HTTPS whose script gets each query and a way to answer it."""

    def __init__(self, kind, context, script):
        self.kind, self.script = kind, script
        self.context = context
        self.connections = []
        self.queries = []
        self.port = 0

    async def start(self):
        self.context.set_alpn_protocols(["h2"] if self.kind == "https" else ["dot"])
        serve = self._https if self.kind == "https" else self._tls
        self._server = await asyncio.start_server(serve, "127.0.0.1", self.port, ssl=self.context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    @property
    def address(self):
        return address(self.kind, self.port)

    def stop(self):
        self._server.close()
        for writer in self.connections:
            writer.transport.abort()

    def asked(self, wire, send, writer):
        self.queries.append(wire)
        self.script(wire, send, writer)

    async def _tls(self, reader, writer):
        self.connections.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                wire = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))

                def send(reply):
                    writer.write(len(reply).to_bytes(2, "big") + reply)

                self.asked(wire, send, writer)
        writer.close()

    async def _https(self, reader, writer):
        self.connections.append(writer)
        http = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        http.initiate_connection()
        writer.write(http.data_to_send())
        bodies = {}
        self.http = http
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                for event in http.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        self.headers = dict(event.headers)
                    elif isinstance(event, h2.events.DataReceived):
                        http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                        bodies[event.stream_id] = bodies.get(event.stream_id, b"") + event.data
                    elif isinstance(event, h2.events.StreamEnded):

                        def send(reply, stream=event.stream_id, **headers):
                            status = headers.pop("status", "200")
                            kind = headers.pop("kind", "application/dns-message")
                            http.send_headers(stream, [(":status", status), ("content-type", kind)])
                            for at in range(0, len(reply), 16_000):
                                http.send_data(stream, reply[at : at + 16_000])
                            http.end_stream(stream)
                            writer.write(http.data_to_send())

                        self.asked(bodies[event.stream_id], send, writer)
                writer.write(http.data_to_send())
        writer.close()


def reply(wire, data="198.51.100.9", name=None):
    message = dns.message.from_wire(wire)
    found = dns.message.make_response(message)
    owner = name or message.question[0].name
    if name:
        found.question[0].name = dns.name.from_text(name)
    found.answer.append(dns.rrset.from_text(owner, 300, "IN", "A", data))
    return found.to_wire()


@pytest.fixture
async def script(authority):
    """Starts scripted upstreams; ``cert`` are names and dates of the certificate."""
    started = []

    async def begin(kind, run, *names, signed_by=None, **dates):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (signed_by or authority).issue_cert(*(names or (NAME,)), **dates).configure_cert(context)
        found = await Scripted(kind, context, run).start()
        started.append(found)
        return found

    yield begin
    for one in started:
        one.stop()
    await asyncio.sleep(0.05)


def honest(wire, send, _writer):
    send(reply(wire))


@pytest.mark.parametrize("kind", KINDS)
async def test_8467_queries_are_padded_and_hold_nothing_of_the_client(script, make_asking, ca_file, kind):
    upstream = await script(kind, honest)
    asking = await make_asking(upstream.address, ca_file=ca_file)
    for name in ("a.example", "a-rather-long-label-to-change-the-size.example"):
        assert (await asking(name)).data == ["198.51.100.9"]
    for wire in upstream.queries:
        assert len(wire) % QUERY_BLOCK == 0
        message = dns.message.from_wire(wire)
        assert [int(option.otype) for option in message.options] == [12]
        assert message.question[0].name.to_text().islower(), "no 0x20 where nobody can forge"
        assert (message.id == 0) == (kind == "https"), "RFC 8484 section 4.1"
    if kind == "https":
        assert upstream.headers[":method"] == "POST"
        assert upstream.headers[":path"] == "/dns-query"
        assert upstream.headers[":authority"] == f"{NAME}:{upstream.port}"
        assert "user-agent" not in upstream.headers


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", ["expired", "not yet", "self-signed", "another authority"])
async def test_certificates_that_are_not_right_are_refused(script, make_asking, ca_file, kind, wrong):
    now = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    how = {
        "expired": {"not_before": now - 9 * day, "not_after": now - day},
        "not yet": {"not_before": now + day, "not_after": now + 9 * day},
        "self-signed": {"signed_by": trustme.CA()},
        "another authority": {"signed_by": trustme.CA()},
    }[wrong]
    upstream = await script(kind, honest, **how)
    if wrong == "self-signed":
        trusted = trustme.CA()
        upstream.context.load_cert_chain(*_self_signed(trusted, ca_file))
    asking = await make_asking(upstream.address, ca_file=ca_file)
    assert (await asking("www.example")).rcode == "SERVFAIL"
    assert upstream.queries == [], "not one query left"
    assert asking.health["secure_unverified"] >= 1


def _self_signed(authority, beside):
    """An authority's own certificate served as a server's."""
    chain, key = f"{beside}.self", f"{beside}.key"
    authority.cert_pem.write_to_path(chain)
    authority.private_key_pem.write_to_path(key)
    return chain, key


@pytest.mark.parametrize("kind", KINDS)
async def test_an_upstream_that_speaks_no_tls_hears_no_query(
    make_upstream, make_asking, ca_file, kind, until
):
    upstream = await make_upstream()
    upstream.answer("www.example", "www.example 300 IN A 198.51.100.66")
    asking = await make_asking(address(kind, upstream.port), ca_file=ca_file)
    assert (await asking("www.example")).rcode == "SERVFAIL"
    assert upstream.asked == []
    await until(lambda: asking.health["secure_unreachable"])


@pytest.mark.parametrize("kind", KINDS)
async def test_7858_answers_out_of_order_find_their_questions(script, make_asking, ca_file, kind):
    held = []

    def backwards(wire, send, _writer):
        held.append((send, reply(wire, f"198.51.100.{len(held) + 1}")))
        if len(held) == 10:
            for deliver, answer in reversed(held):
                deliver(answer)

    upstream = await script(kind, backwards)
    asking = await make_asking(upstream.address, ca_file=ca_file)
    answers = await asyncio.gather(*(asking(f"n{number}.example") for number in range(10)))
    names = [dns.message.from_wire(wire).question[0].name.to_text() for wire in upstream.queries[:10]]
    for number, answered in enumerate(answers):
        assert answered.data == [f"198.51.100.{names.index(f'n{number}.example.') + 1}"]
    assert asking.health["secure_opened"] == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lie", ["another name", "another id", "no reply", "cut short", "no dns"])
async def test_a_reply_that_does_not_fit_is_not_believed(script, make_asking, ca_file, kind, lie):
    def lying(wire, send, _writer):
        right = reply(wire)
        send(
            {
                "another name": reply(wire, name="other.example."),
                "another id": bytes((right[0] ^ 0x55, right[1] ^ 0xAA)) + right[2:],
                "no reply": wire,
                "cut short": right[:-3],
                "no dns": b"x" * 20,
            }[lie]
        )

    upstream = await script(kind, lying)
    asking = await make_asking(upstream.address, ca_file=ca_file, fetch_timeout=1.0)
    assert (await asking("www.example")).rcode == "SERVFAIL"
    assert asking.health["cache_entries"] == 0


@pytest.mark.parametrize(
    "headers", [{"status": "500"}, {"status": "204"}, {"status": "301"}, {"kind": "text/html"}], ids=str
)
async def test_8484_another_status_or_media_type_is_no_answer(script, make_asking, ca_file, headers):
    upstream = await script("https", lambda wire, send, _writer: send(reply(wire), **headers))
    asking = await make_asking(upstream.address, ca_file=ca_file, fetch_timeout=1.0)
    assert (await asking("www.example")).rcode == "SERVFAIL"
    assert asking.health["malformed_replies"] >= 1
    assert asking.health["secure_opened"] == 1, "the connection is good for other questions"


async def test_8484_an_endless_answer_is_cut(script, make_asking, ca_file):
    upstream = await script("https", lambda _wire, send, _writer: send(bytes(60_000)))
    asking = await make_asking(upstream.address, ca_file=ca_file, fetch_timeout=1.0)
    assert (await asking("www.example")).rcode == "SERVFAIL"


@pytest.mark.parametrize("kind", KINDS)
async def test_7766_a_connection_that_is_closed_takes_no_question_with_it(script, make_asking, ca_file, kind):
    """The upstream is tired of it after each answer, and closes while the next question is on its way."""
    upstream = await script(kind, lambda *_: None)

    def tired(wire, send, writer):
        if sum(one is writer for one in served):
            writer.transport.abort()
            return
        served.append(writer)
        send(reply(wire))

    served = []
    upstream.script = tired
    asking = await make_asking(upstream.address, ca_file=ca_file)
    for number in range(6):
        assert (await asking(f"n{number}.example")).data == ["198.51.100.9"]
    assert asking.health["secure_opened"] >= 2
    assert asking.health["secure_unreachable"] == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_slow_name_costs_the_others_nothing(script, make_asking, ca_file, kind, until):
    def slow(wire, send, _writer):
        if b"slow" not in wire:
            send(reply(wire))

    upstream = await script(kind, slow)
    asking = await make_asking(upstream.address, ca_file=ca_file, fetch_timeout=1.5)
    waiting = asyncio.gather(*(asking(f"slow{number}.example") for number in range(3)))
    number = 0
    while not waiting.done():
        number += 1
        assert (await asking(f"quick{number}.example")).data == ["198.51.100.9"]
        await asyncio.sleep(0.02)
    assert {answered.rcode for answered in await waiting} == {"SERVFAIL"}
    await until(lambda: not asking.resolver.flights)
    assert asking.health["secure_opened"] == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_silent_connection_is_replaced(script, make_asking, ca_file, kind):
    """A middlebox forgot it, and nothing says so."""
    upstream = await script(kind, honest)
    asking = await make_asking(upstream.address, ca_file=ca_file, fetch_timeout=1.5)
    await asking("before.example")
    first = upstream.connections[0]
    upstream.script = lambda wire, send, writer: send(reply(wire)) if writer is not first else None
    await asking("during.example")
    answered = await asking("after.example")
    assert answered.data == ["198.51.100.9"]
    assert len(upstream.connections) == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_dead_upstream_is_left_alone_and_found_again(script, trusting, kind, clock):
    upstream = await script(kind, honest)
    upstream.stop()
    asking = await trusting(upstream.address)
    for number in range(40):
        assert (await asking(f"n{number}.example")).rcode == "SERVFAIL"
    assert 1 <= asking.health["secure_opened"] < 20, "backs off"
    await upstream.start()
    for number in range(10_000):
        clock.shift += 1.0
        if (await asking(f"again{number}.example")).data:
            break
        await asyncio.sleep(0.05)
    assert asking.health["upstream_0_up"] == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_another_encrypted_upstream_takes_over(script, make_asking, ca_file, kind):
    good, bad = await script(kind, honest), await script(kind, honest, "other.test")
    asking = await make_asking(bad.address, good.address, ca_file=ca_file)
    for number in range(10):
        assert (await asking(f"n{number}.example")).data == ["198.51.100.9"]
    assert bad.queries == []


async def silenced(asking):
    """Ask until the encrypted upstream counts as down."""
    number = 0

    async def ask():
        nonlocal number
        number += 1
        return await asking(f"q{number}.example")

    while asking.health["upstream_0_up"]:
        await ask()
        await asyncio.sleep(0.05)
    return ask


@pytest.mark.parametrize("kind", ["https"])
async def test_never_falls_back_to_plain_by_itself(script, trusting, make_upstream, kind):
    secure, plain = (
        await script(kind, honest),
        await make_upstream(lambda ask: ask.reply(f"{ask.name} 300 IN A 198.51.100.1")),
    )
    secure.stop()
    asking = await trusting(secure.address, plain)
    ask = await silenced(asking)
    for _ in range(5):
        assert (await ask()).rcode == "SERVFAIL"
    assert plain.asked == []
    assert asking.health["upstream_fallbacks"] == asking.health["upstream_fallen_back"] == 0


@pytest.mark.parametrize("kind", ["tls"])
async def test_falls_back_where_the_policy_says_so_and_comes_back(
    script, trusting, make_upstream, kind, until
):
    secure, plain = (
        await script(kind, honest),
        await make_upstream(lambda ask: ask.reply(f"{ask.name} 300 IN A 198.51.100.1")),
    )
    asking = await trusting(secure.address, plain, fallback=True)
    assert (await asking("first.example")).data == ["198.51.100.9"]
    assert plain.asked == [], "not asked while an encrypted one answers"
    secure.stop()
    ask = await silenced(asking)
    assert (await ask()).data == ["198.51.100.1"]
    assert asking.health["upstream_fallen_back"] == 1
    assert asking.health["upstream_fallbacks"] >= 1
    await secure.start()
    await until(lambda: asking.health["upstream_0_up"])
    assert (await asking("last.example")).data == ["198.51.100.9"]
    assert asking.health["upstream_fallen_back"] == 0


async def test_a_file_of_authorities_that_is_none_is_an_error(make_asking, tmp_path):
    path = tmp_path / "ca.pem"
    path.write_text("nothing")
    with pytest.raises(OSError):
        await make_asking(address("tls", 853), ca_file=str(path))
