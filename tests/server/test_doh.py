"""DNS over HTTPS (RFC 8484) by both versions of HTTP: methods, statuses, caching, limits, the ACL."""

from __future__ import annotations

import asyncio
import base64
import contextlib

import dns.edns
import dns.message
import dns.rcode
import h2.config
import h2.connection
import h2.events
import httpx2
import pytest
from _encrypted import ended, query, until

from filterd.resolver.request import Reply
from filterd.wire.opt import PAD_BLOCK

MEDIA = "application/dns-message"
VERSIONS = ["HTTP/1.1", "HTTP/2"]


@pytest.fixture(params=VERSIONS)
async def browser(request, serve):
    """A client of one version of HTTP, and what it asks."""
    service = await serve()
    async with client(service, request.param) as found:
        yield found, service


@contextlib.asynccontextmanager
async def client(service, version, **more):
    http2 = version == "HTTP/2"
    async with httpx2.AsyncClient(
        verify=service.context(), http2=http2, http1=not http2, base_url=f"https://127.0.0.1:{service.doh_port}",
        timeout=30, limits=httpx2.Limits(max_connections=10), **more,
    ) as found:  # fmt: skip
        found.version = version
        yield found


def encoded(message):
    return base64.urlsafe_b64encode(message.to_wire()).rstrip(b"=").decode()


def post(client, message, **headers):
    wire = message if isinstance(message, bytes) else message.to_wire()
    return client.post("/dns-query", content=wire, headers={"content-type": MEDIA, **headers})


def check(message, answer, client):
    assert answer.http_version == client.version
    assert answer.status_code == 200
    assert answer.headers["content-type"] == MEDIA
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert "date" in answer.headers
    reply = dns.message.from_wire(answer.content)
    assert message.is_response(reply)
    return reply


async def test_8484_get_and_post_give_the_same(browser):
    client, _ = browser
    message = query()
    message.id = 0
    by_get = await client.get("/dns-query", params={"dns": encoded(message)})
    by_post = await post(client, message)
    assert check(message, by_get, client) == check(message, by_post, client)
    assert by_get.content == by_post.content


async def test_8484_a_blocked_name_is_http_200(browser):
    client, _ = browser
    message = query("1xbet.com")
    assert check(message, await post(client, message), client).rcode() == dns.rcode.NXDOMAIN


async def test_8484_servfail_is_http_200_and_not_kept(browser):
    """Section 4.2.1: the status is about HTTP, the rcode about DNS."""
    client, _ = browser
    message = query("unknown.example")  # this resolver has no upstream
    answer = await post(client, message)
    assert check(message, answer, client).rcode() == dns.rcode.SERVFAIL
    assert answer.headers["cache-control"] == "private, max-age=0"


@pytest.mark.parametrize(("name", "seconds"), [("lms.example", 60), ("1xbet.com", 30), ("x.invalid", 60)])
async def test_8484_kept_no_longer_than_the_smallest_ttl(browser, name, seconds):
    """Section 5.1; and for one client only: another may have another policy."""
    client, _ = browser
    message = query(name)
    answer = await post(client, message)
    reply = check(message, answer, client)
    ttls = [rrset.ttl for rrset in (*reply.answer, *reply.authority)]
    assert answer.headers["cache-control"] == f"private, max-age={min(ttls)}"
    assert min(ttls) == seconds


async def test_8467_padded_when_asked(browser):
    client, _ = browser
    padding = [dns.edns.GenericOption(dns.edns.OptionType.PADDING, b"")]
    assert len((await post(client, query(use_edns=0, options=padding))).content) % PAD_BLOCK == 0
    assert len((await post(client, query(use_edns=0))).content) % PAD_BLOCK


async def test_7828_no_keepalive_of_dns_where_http_has_its_own(browser):
    client, _ = browser
    message = query(use_edns=0, options=[dns.edns.GenericOption(11, b"")])
    assert check(message, await post(client, message), client).options == ()


GET, POST = "GET", "POST"
WRONG = [
    (404, GET, "/", {}, b""),
    (404, GET, "/dns-query/", {}, b""),
    (404, POST, "/other", {"content-type": MEDIA}, bytes(20)),
    (405, "PUT", "/dns-query", {"content-type": MEDIA}, bytes(20)),
    (405, "DELETE", "/dns-query", {}, b""),
    (405, "HEAD", "/dns-query?dns=AAAA", {}, b""),
    (405, "OPTIONS", "/dns-query", {}, b""),
    (415, POST, "/dns-query", {}, bytes(20)),
    (415, POST, "/dns-query", {"content-type": "application/dns-json"}, bytes(20)),
    (400, GET, "/dns-query", {}, b""),
    (400, GET, "/dns-query?dns=", {}, b""),
    (400, GET, "/dns-query?dns=AAA=", {}, b""),
    (400, GET, "/dns-query?dns=A+/A", {}, b""),
    (400, GET, "/dns-query?dns=A", {}, b""),
    (400, GET, "/dns-query?dns=AAAA&dns=AAAA", {}, b""),
    (400, GET, "/dns-query?name=example.com&type=A", {"accept": "application/dns-json"}, b""),
    (400, POST, "/dns-query", {"content-type": MEDIA}, b""),
    (400, POST, "/dns-query", {"content-type": MEDIA}, bytes(11)),
    (400, POST, "/dns-query", {"content-type": MEDIA}, b"\0\0\x80" + bytes(20)),
    (414, GET, "/dns-query?dns=" + "A" * 4000, {}, b""),
]


@pytest.mark.parametrize("wrong", WRONG, ids=range(len(WRONG)))
async def test_8484_what_carries_no_query_says_so(browser, wrong):
    client, service = browser
    status, method, target, headers, body = wrong
    answer = await client.request(method, target, headers=headers, content=body)
    assert answer.status_code == status
    assert answer.http_version == client.version
    assert answer.headers["cache-control"] == "no-store"
    if status == 405:
        assert answer.headers["allow"] == "GET, POST"
    assert service.counters["doh_requests_refused"] == 1
    assert service.counters["handler_errors"] == 0
    message = query()
    check(message, await post(client, message), client)


@pytest.mark.parametrize("size", [65_536, 300_000])
async def test_8484_a_body_over_the_largest_message_is_413(serve, size):
    """By HTTP/1.1; what HTTP/2 does is below: httpx2 waits for a window there that nobody will open."""
    service = await serve()
    async with client(service, "HTTP/1.1") as browser:
        assert (await post(browser, bytes(size))).status_code == 413
        message = query()
        check(message, await post(browser, message), browser)


async def test_a_query_that_is_malformed_gets_its_dns_error(browser):
    client, _ = browser
    wire = query().to_wire()[:-1]
    answer = await post(client, wire)
    assert answer.status_code == 200
    assert dns.message.from_wire(answer.content, ignore_trailing=True).rcode() == dns.rcode.FORMERR


@pytest.mark.parametrize("version", VERSIONS)
async def test_5358_the_acl_is_by_the_address_of_the_socket(serve, version):
    """No header makes a stranger a neighbour, or a neighbour somebody else."""
    service = await serve(settings={"allow_clients": ()})
    async with client(service, version) as stranger:
        with pytest.raises(httpx2.TransportError):
            await post(stranger, query(), **{"x-forwarded-for": "10.0.0.1", "forwarded": "for=10.0.0.1"})
    assert service.counters["refused_acl"] >= 1


async def test_forwarded_headers_change_no_group(browser):
    client, service = browser
    seen = []
    handle = service.handler.handle
    service.handler.handle = lambda packet, who, *rest: seen.append(who.text) or handle(packet, who, *rest)
    for name in ("x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip", "client-ip"):
        await post(client, query("1xbet.com"), **{name: "10.20.5.7"})
    assert seen == ["127.0.0.1"] * 5


async def test_many_requests_side_by_side(browser):
    client, service = browser
    messages = [query(f"{number}.1xbet.com") for number in range(300)]
    answers = await asyncio.gather(*(post(client, message) for message in messages))
    for message, answer in zip(messages, answers, strict=True):
        check(message, answer, client)
    if client.version == "HTTP/2":
        assert service.counters["doh_connections"] == 1


async def test_answers_come_in_the_order_in_which_they_are_there(serve):
    """HTTP/2 only: a slow name does not keep a quick one (RFC 9113 section 5)."""
    service = await serve()
    later = []
    resolver = service.handler._resolver
    resolve_now = resolver.resolve_now
    resolver.resolve_now = lambda r: None if b"slow" in r.query.name else resolve_now(r)
    resolver.submit = lambda request, done: later.append((request, done))
    async with client(service, "HTTP/2") as browser:
        message = query("slow.example")
        slow = asyncio.create_task(post(browser, message))
        await until(lambda: later)
        quick = query()
        check(quick, await post(browser, quick), browser)
        assert not slow.done()
        _, done = later[0]
        packet = dns.message.make_response(dns.message.from_wire(message.to_wire())).to_wire()
        done(Reply(packet, "allowed"))
        check(message, await slow, browser)
        assert service.counters["doh_connections"] == 1


async def test_requests_of_a_connection_are_counted_and_the_next_one_takes_over(serve):
    service = await serve(queries_per_connection=10)
    for version in VERSIONS:
        async with client(service, version) as browser:
            for _ in range(35):
                message = query()
                try:
                    answer = await post(browser, message)
                except httpx2.TransportError:  # httpx2 takes a connection that said good-bye once more
                    answer = await post(browser, message)
                check(message, answer, browser)
    assert service.counters["doh_query_limit"] == 6
    assert service.counters["doh_connections"] == 8


async def test_idle_connections_are_closed(serve):
    service = await serve(idle=0.2)
    for alpn in ("h2", "http/1.1"):
        reader, writer = await service.doh(alpn)
        await ended(reader)
        writer.close()
    assert service.counters["doh_idle_closed"] == 2


HALVES = {
    "nothing of the head": b"P",
    "half a head": b"POST /dns-query HTTP/1.1\r\nhost: x\r\ncontent-type: application/dns-",
    "half a body": (
        b"POST /dns-query HTTP/1.1\r\nhost: x\r\ncontent-type: application/dns-message\r\n"
        b"content-length: 40\r\n\r\n" + bytes(10)
    ),
}


@pytest.mark.parametrize("half", HALVES)
async def test_half_a_request_does_not_hold_a_connection(serve, half):
    """However steadily it dribbles (slow-loris)."""
    service = await serve(message_deadline=0.6)
    reader, writer = await service.doh("http/1.1")
    for byte in HALVES[half]:
        writer.write(bytes((byte,)))
        await asyncio.sleep(0)

    async def dribble():
        with contextlib.suppress(OSError):
            while True:
                writer.write(b"x" if "head" in half else b"")
                await asyncio.sleep(0.05)

    dribbling = asyncio.create_task(dribble())
    await ended(reader)
    dribbling.cancel()
    writer.close()
    assert service.counters["doh_idle_closed"] == 1


async def test_9112_pipelined_requests_are_answered_in_order(serve):
    service = await serve()
    reader, writer = await service.doh("http/1.1")
    messages = [query(f"{number}.1xbet.com") for number in range(50)]
    target = b"GET /dns-query?dns=%s HTTP/1.1\r\nhost: x\r\n\r\n"
    writer.write(b"".join(target % encoded(message).encode() for message in messages))
    for message in messages:
        async with asyncio.timeout(30):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            (length,) = (
                int(line.split(b":")[1]) for line in head.split(b"\r\n") if b"content-length" in line
            )
            assert message.is_response(dns.message.from_wire(await reader.readexactly(length)))
    writer.close()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/9.9\r\n\r\n", 404),
        (b"\0\0\0\0\r\n\r\n", 400),
        (b"GET /dns-query HTTP/1.1\r\n\r\n", 400),
        (b"GET /dns-query?dns=AAAA HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 10_000 + b"\r\n", 431),
        (b"GET /dns-query?dns=AAAA HTTP/1.1\r\nhost: x\r\na: " + b"b" * 20_000, 431),
        (b"POST /dns-query HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n", 400),
        (
            b"POST /dns-query HTTP/1.1\r\nhost: x\r\ncontent-type: application/dns-message\r\n%s\r\n\r\n"
            % b"content-length: 99999999999999999999",
            413,
        ),
        (
            b"POST /dns-query HTTP/1.1\r\nhost: x\r\ncontent-type: application/dns-message\r\n"
            b"transfer-encoding: chunked\r\n\r\nffff\r\n" + bytes(65_535) + b"\r\n1\r\n\0\r\n0\r\n\r\n",
            413,
        ),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 404),
    ],
    ids=range(9),
)
async def test_9112_what_is_no_http_is_refused_and_closed(serve, request_, status):
    service = await serve()
    reader, writer = await service.doh("http/1.1")
    writer.write(request_)
    async with asyncio.timeout(30):
        with contextlib.suppress(OSError):
            assert (await reader.read(65_536)).startswith(b"HTTP/1.1 %d " % status)
    await ended(reader)
    writer.close()
    assert service.counters["doh_malformed"] + service.counters["doh_requests_refused"] == 1
    assert service.counters["handler_errors"] == 0


class Raw:
    """An HTTP/2 client that can do what no good one does."""

    def __init__(self, streams):
        self.reader, self.writer = streams
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self.http.initiate_connection()
        self.events = []
        self.flush()

    def flush(self):
        self.writer.write(self.http.data_to_send())

    def get(self, message, *, end=True, path=None, extra=()):
        stream = self.http.get_next_available_stream_id()
        path = path or f"/dns-query?dns={encoded(message)}"
        head = [(":method", "GET"), (":scheme", "https"), (":authority", "x"), (":path", path), *extra]
        self.http.send_headers(stream, head, end_stream=end)
        return stream

    async def until(self, kind, *, answer=True):
        """Read until an event of a kind came; None when the connection ended before."""
        async with asyncio.timeout(30):
            while True:
                for event in self.events:
                    if isinstance(event, kind):
                        self.events.remove(event)
                        return event
                try:
                    data = await self.reader.read(65_536)
                except OSError:
                    return None
                if not data:
                    return None
                self.events += self.http.receive_data(data)
                if answer:
                    self.flush()

    def post(self, body, **headers):
        stream = self.http.get_next_available_stream_id()
        head = [(":method", "POST"), (":scheme", "https"), (":authority", "x"), (":path", "/dns-query")]
        head += [
            ("content-type", MEDIA),
            *((name.replace("_", "-"), value) for name, value in headers.items()),
        ]
        self.http.send_headers(stream, head)
        for at in range(0, len(body), 16_384):
            self.http.send_data(stream, body[at : at + 16_384])
        return stream


@pytest.fixture
async def raw(serve):
    opened = []

    async def begin(**limits):
        service = await serve(**limits)
        found = Raw(await service.doh("h2"))
        opened.append(found)
        return found, service

    yield begin
    for one in opened:
        one.writer.close()


async def test_9113_a_large_reply_waits_for_the_window(raw):
    found, _ = await raw(queries_per_connection=10**6)
    padding = [dns.edns.GenericOption(dns.edns.OptionType.PADDING, b"")]
    for _ in range(60):
        found.get(query("1xbet.com", use_edns=0, options=padding))
    found.flush()
    for _ in range(60):  # 60 of 468 bytes fit the window of 65,535; then the window is small
        assert await found.until(h2.events.StreamEnded)
    found.events.clear()
    found.http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 100})
    found.flush()
    stream = found.get(query("1xbet.com", use_edns=0, options=padding))
    found.flush()
    assert len((await found.until(h2.events.DataReceived)).data) == 100
    found.http.increment_flow_control_window(1000, stream)
    found.flush()
    assert await found.until(h2.events.StreamEnded)


@pytest.mark.parametrize("announced", [True, False])
async def test_8484_a_body_over_the_largest_message_is_413_and_read_no_further(raw, announced):
    found, service = await raw()
    headers = {"content_length": "70000"} if announced else {}
    stream = found.post(bytes(65_535), **headers)
    found.flush()
    if not announced:
        await found.until(h2.events.WindowUpdated)
        found.http.send_data(stream, b"x")
        found.flush()
    answer = await found.until(h2.events.ResponseReceived)
    assert dict(answer.headers)[b":status"] == b"413"
    assert (await found.until(h2.events.StreamReset)).error_code == h2.errors.ErrorCodes.NO_ERROR
    assert service.counters["doh_requests_refused"] == 1
    for _ in range(3):  # what was sent in vain is given back to the connection's window
        found.post(query().to_wire())
        found.http.end_stream(found.http.highest_outbound_stream_id)
        found.flush()
        assert await found.until(h2.events.StreamEnded)


async def test_9113_replies_that_nobody_takes_are_cut(raw):
    """A window of nothing must not hold replies for ever."""
    found, service = await raw(message_deadline=0.5)
    found.http.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
    for _ in range(20):
        found.get(query("1xbet.com"))
    found.flush()
    assert await found.until(h2.events.StreamEnded) is None
    assert service.counters["doh_idle_closed"] == 1
    await until(lambda: not service.listeners._doh.connections)


async def test_9113_the_limit_of_streams_is_told_and_held(raw):
    found, service = await raw(pipelined=8)
    settings = await found.until(h2.events.RemoteSettingsChanged)
    assert settings.changed_settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS].new_value == 8
    found.http.remote_settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = 1000
    found.http.remote_settings.acknowledge()
    for _ in range(9):  # begun and never finished
        found.get(query(), end=False)
    found.flush()
    assert await found.until(h2.events.StreamEnded) is None
    assert service.counters["doh_malformed"] == 1


async def test_cve_2023_44487_rapid_reset_is_cut(raw):
    found, service = await raw(queries_per_connection=10**6)
    with contextlib.suppress(OSError):
        for _ in range(1000):
            stream = found.get(query("1xbet.com"), end=False)
            found.http.reset_stream(stream)
            found.flush()
            await found.writer.drain()
    end = await found.until(h2.events.ConnectionTerminated)
    assert end is None or end.error_code == h2.errors.ErrorCodes.ENHANCE_YOUR_CALM
    assert service.counters["doh_malformed"] == 1
    assert service.handler.in_flight == 0


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
ABUSE = {
    "continuation flood": frame(HEADERS, 0, 1, b"\x82") + frame(CONTINUATION, 0, 1, b"") * 2000,
    "continuation without headers": frame(CONTINUATION, 4, 1, b"\x82"),
    "ping flood": frame(PING, 0, 0, bytes(8)) * 5000,
    "settings flood": frame(SETTINGS, 0, 0, b"") * 5000,
    "priority flood": frame(PRIORITY, 0, 3, bytes((0, 0, 0, 0, 15))) * 5000,
    "window flood": frame(WINDOW, 0, 0, (1).to_bytes(4, "big")) * 5000,
    "window overflow": frame(WINDOW, 0, 0, (0x7FFFFFFF).to_bytes(4, "big")) * 2,
    "unknown frames": frame(0xFA, 0, 0, b"x") * 5000,
    "frame over the limit": (0x00FFFF).to_bytes(3, "big") + bytes((DATA, 0)) + bytes(70_000),
    "data on no stream": frame(DATA, 0, 0, b"x"),
    "data on a stream nobody opened": frame(DATA, 1, 7, b"x") * 600,
    "a stream of the server's": frame(HEADERS, 5, 2, b"\x82"),
    "push": frame(PUSH, 4, 1, (2).to_bytes(4, "big") + b"\x82"),
    "ping of a wrong size": frame(PING, 0, 0, bytes(7)),
    "settings of a wrong size": frame(SETTINGS, 0, 0, bytes(5)),
    "bad header block": frame(HEADERS, 5, 1, b"\xff" * 100),
    "hpack bomb": frame(HEADERS, 5, 1, b"\x40\x01a\x7f\xa1\x1e" + b"b" * 4000 + b"\xbe" * 8000),
    "no pseudo headers": frame(HEADERS, 5, 1, b"\x40\x01a\x01b"),
    "garbage": bytes(range(256)) * 40,
}


@pytest.mark.parametrize("abuse", ABUSE)
async def test_9113_abuse_ends_the_connection_and_nothing_else(raw, abuse):
    found, service = await raw()
    good = Raw(await service.doh("h2"))
    with contextlib.suppress(OSError):
        found.writer.write(ABUSE[abuse])
        await found.writer.drain()
    async with asyncio.timeout(30):
        with contextlib.suppress(OSError):
            while await found.reader.read(65_536):
                pass
    assert service.counters["doh_malformed"] == 1, "counted once"
    assert service.counters["handler_errors"] == 0
    good.get(query())
    good.flush()
    assert await good.until(h2.events.StreamEnded), "others are served"
    good.writer.close()


async def test_9113_large_header_lists_are_refused(raw):
    found, service = await raw()
    found.http.remote_settings[h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE] = 1 << 20
    found.http.remote_settings.acknowledge()
    found.get(query(), extra=[("x", "y" * 8000)] * 10)
    found.flush()
    assert await found.until(h2.events.StreamEnded) is None
    assert service.counters["doh_malformed"] == 1


async def test_9113_one_byte_at_a_time(raw):
    found, _ = await raw()
    message = query()
    found.get(message)
    for byte in found.http.data_to_send():
        found.writer.write(bytes((byte,)))
        await found.writer.drain()
    data = await found.until(h2.events.DataReceived)
    assert message.is_response(dns.message.from_wire(data.data))


async def test_9113_a_body_that_never_ends_is_cut(raw):
    found, service = await raw(message_deadline=0.5)
    stream = found.http.get_next_available_stream_id()
    head = [(":method", "POST"), (":scheme", "https"), (":authority", "x"), (":path", "/dns-query")]
    found.http.send_headers(stream, [*head, ("content-type", MEDIA)])
    found.flush()

    async def dribble():
        with contextlib.suppress(OSError):
            while True:
                found.http.send_data(stream, b"x")
                found.flush()
                await asyncio.sleep(0.05)

    dribbling = asyncio.create_task(dribble())
    await ended(found.reader)
    dribbling.cancel()
    assert service.counters["doh_idle_closed"] == 1


async def test_a_client_that_does_not_read_is_paused_and_cut(raw):
    found, service = await raw(write_buffer=16_384, message_deadline=1.0, queries_per_connection=10**6)
    found.writer.transport.pause_reading()
    with contextlib.suppress(OSError, TimeoutError):
        for _ in range(2000):
            found.writer.write(frame(PING, 0, 0, bytes(8)) * 400)
            async with asyncio.timeout(5):
                await found.writer.drain()
    await until(lambda: not service.listeners._doh.connections)
    assert service.counters["doh_idle_closed"] + service.counters["doh_malformed"] == 1
