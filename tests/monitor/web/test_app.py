from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filterd.monitor.settings import MonitorLimits

OF_BOX1 = "token of box one"
WRONG = "wrong"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def head(*, length: int, kind: str = "Content-Type: application/json\r\n", token: str = OF_BOX1) -> bytes:
    lines = f"Host: x\r\nAuthorization: Bearer {token}\r\n{kind}Content-Length: {length}\r\n"
    return f"POST /v1/batches HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode()


async def raw(monitor: Any, data: bytes, *, read: int = 65_536) -> bytes:
    """Send bytes and return what comes until the connection is closed."""
    host, port = monitor.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    found = b""
    async with asyncio.timeout(20):
        while part := await reader.read(read):
            found += part
    writer.close()
    await writer.wait_closed()
    return found


async def test_index_names_every_address(monitor: Any) -> None:
    status, index = await monitor.get("/", admin=False)
    assert status == 200
    for path in index["endpoints"]:
        expected = {"/v1/batches": 405, "/v1/events": 401, "/v1/schools": 401, "/v1/boxes": 401}.get(
            path, 200
        )
        assert (await monitor.get(path, admin=False))[0] == expected


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/readyz", "/metrics", "/v1/events", "/nowhere", "/v1/batches", "/%00", "/%ff"]
)
async def test_every_answer_has_the_security_headers_and_tells_no_version(monitor: Any, path: str) -> None:
    async with monitor.session.get(f"{monitor.url}{path}") as reply:
        text = (await reply.text()).lower()
        headers = reply.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"] == "filterd"
    assert "aiohttp" not in text
    assert "python" not in text


@pytest.mark.parametrize(
    "request_text",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"x" * 20_000 + b"\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_without_a_version(monitor: Any, request_text: bytes) -> None:
    reply = await raw(monitor, request_text)
    assert reply.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert b"aiohttp" not in reply.lower()
    assert b"Traceback" not in reply


async def test_wrong_paths_and_methods_are_problems(monitor: Any) -> None:
    status, problem = await monitor.get("/nowhere")
    assert (status, problem["status"], problem["title"]) == (404, 404, "Not Found")
    async with monitor.session.put(f"{monitor.url}/v1/batches") as reply:
        assert (reply.status, reply.headers["Allow"]) == (405, "POST")
        assert reply.content_type == "application/problem+json"


async def test_401_tells_how_to_come_in(monitor: Any) -> None:
    async with monitor.session.get(f"{monitor.url}/v1/events") as reply:
        assert reply.status == 401
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")
        assert (await reply.json(content_type=None))["remedy"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Content-Type": "APPLICATION/JSON"}, 200),
        ({"Content-Encoding": "br"}, 415),
        ({"Content-Encoding": "gzip"}, 400),
        ({"Content-Encoding": "identity"}, 200),
    ],
)
async def test_kinds_of_body(monitor: Any, make: Any, headers: dict[str, str], status: int) -> None:
    found, _ = await monitor.post(make.delivery(make.batch(1)), headers=headers)
    assert found == status


async def test_no_content_type_is_415(monitor: Any) -> None:
    request = head(length=2, kind="") + b"{}"
    assert (await raw(monitor, request)).startswith(b"HTTP/1.1 415 ")


async def test_a_body_over_the_limit_is_413_told_or_not(start: Any, make: Any) -> None:
    monitor = await start(limits=MonitorLimits(body_bytes=1000))
    status, problem = await monitor.post(make.delivery(*map(make.batch, range(1, 20))))
    assert (status, problem["code"]) == (413, "too-large")

    async def unannounced() -> Any:
        for _ in range(100):
            yield b" " * 100

    headers = {"Authorization": "Bearer token of box one", "Content-Type": "application/json"}
    async with monitor.session.post(
        f"{monitor.url}/v1/batches", data=unannounced(), headers=headers
    ) as reply:
        assert reply.status == 413
    assert (await monitor.post(make.delivery()))[0] == 200


async def test_a_gzip_bomb_is_413(monitor: Any) -> None:
    status, problem = await monitor.post(b"[" + b" " * 300_000_000, packed=True)
    assert (status, problem["code"]) == (413, "too-large")


async def test_a_body_that_stops_coming_is_given_up(start: Any) -> None:
    monitor = await start(limits=MonitorLimits(body_seconds=0.2))
    request = head(length=99) + b"{"
    assert (await raw(monitor, request)).startswith(b"HTTP/1.1 408 ")


async def test_a_body_cut_off_stores_nothing(monitor: Any, make: Any) -> None:
    body = json.dumps(make.delivery(make.batch(1))).encode()
    host, port = monitor.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(head(length=len(body)) + body[:-1])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await monitor.post(make.delivery()))[0] == 200
    assert monitor.sql("SELECT * FROM events") == []


async def test_strangers_are_refused_before_their_body_is_read(monitor: Any) -> None:
    request = head(length=9_999_999, token=WRONG)
    assert (await raw(monitor, request)).startswith(b"HTTP/1.1 401 ")


async def test_connections_are_bounded(start: Any) -> None:
    monitor = await start(limits=MonitorLimits(connections=3))
    host, port = monitor.url.removeprefix("http://").split(":")
    open_ones = []
    for _ in range(3):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        open_ones.append(writer)
    reader, writer = await asyncio.open_connection(host, int(port))
    with suppress(ConnectionError):
        assert await reader.read() == b""
    for one in (*open_ones, writer):
        one.close()
    while True:  # the endpoint notices closed connections in its own time
        try:
            assert (await monitor.get("/healthz"))[0] == 200
            break
        except OSError:
            await asyncio.sleep(0.01)
    assert await monitor.metric("filterd_http_connections_refused_total") != {"": 0}


async def test_local_admin_over_a_real_socket(start: Any) -> None:
    monitor = await start(local_admin=True)
    assert (await monitor.get("/v1/events", admin=False))[0] == 200
    for headers, code in (
        ({"Host": "evil.example"}, "foreign-host"),
        ({"X-Forwarded-For": "1.2.3.4"}, "proxied"),
        ({"Forwarded": "for=1.2.3.4"}, "proxied"),
        ({"Sec-Fetch-Site": "cross-site"}, "foreign-site"),
    ):
        status, problem = await monitor.get("/v1/events", admin=False, **headers)
        assert (status, problem["code"]) == (403, code)


async def test_ipv6(start: Any, make: Any) -> None:
    monitor = await start(listen=(("::1", 0),), local_admin=True)
    assert (await monitor.post(make.delivery(make.batch(1))))[0] == 200
    assert len((await monitor.get("/v1/events", admin=False))[1]["events"]) == 1


async def test_arbitrary_json_never_gives_500(monitor: Any, make: Any) -> None:
    whole = make.delivery(make.batch(1), health=make.health())
    posts: list[Any] = []

    @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def draw(data: st.DataObject) -> None:
        value: Any = json.loads(json.dumps(whole))
        for _ in range(data.draw(st.integers(0, 3))):
            at: Any = value
            while isinstance(at, (dict, list)) and at and data.draw(st.booleans()):
                key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
                if not isinstance(at[key], (dict, list)) or not at[key]:
                    break
                at = at[key]
            if isinstance(at, dict):
                at[data.draw(st.sampled_from(sorted(at)) if at else st.text(max_size=5))] = data.draw(JSON)
            elif isinstance(at, list):
                at.append(data.draw(JSON))
        posts.append(value if data.draw(st.integers(0, 9)) else data.draw(JSON))

    draw()
    for value in posts:
        status, _reply = await monitor.post(json.dumps(value).encode(), token=OF_BOX1)
        assert status in {200, 400, 403, 413, 422}
    _, text = await monitor.get("/metrics")
    assert 'status="500"' not in text
    assert (await monitor.get("/v1/events"))[0] == 200


async def test_ready_while_the_store_takes_rows(monitor: Any) -> None:
    assert await monitor.get("/readyz", admin=False) == (200, {"status": "ready"})
    assert await monitor.get("/healthz", admin=False) == (200, {"status": "ok"})
