"""Fetching one file from a real HTTPS server: what comes, what is resumed, and every fault on the way."""

from __future__ import annotations

import asyncio
import gzip
import ipaddress
import random
import resource
from pathlib import Path

import pytest
from _server import HOSTS, Authority, Server

from filterd.errors import FetchError
from filterd.lists import partfile
from filterd.lists.fetch import Ask, Fetcher, FetchSettings
from filterd.lists.resolving import Names, Way, written

LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
QUICK = FetchSettings(time=20, connect=2, idle=2, pause=0.01)
LIST = "".join(f"site-{number}.example\n" for number in range(20_000)).encode()


@pytest.fixture
def names() -> Names:
    known = {
        **{host: ["127.0.0.1"] for host in HOSTS},
        "inside.test": ["10.0.0.5"],
        "other.test": ["127.0.0.1"],
    }
    return Names([Way("written", written(known))], [LOOPBACK])


@pytest.fixture
async def fetcher(authority: Authority, names: Names):
    async with Fetcher(names, authority.client_context(), QUICK) as running:
        yield running


@pytest.fixture
def ask(tmp_path: Path, server: Server):
    def ask(path: str = "/list", **more) -> Ask:
        return Ask(**{"url": server.url(path), "part": tmp_path / "part", "max_bytes": 1 << 20, **more})

    return ask


async def test_a_file_comes_whole_with_what_the_server_calls_it(server, fetcher, ask):
    page = server.put("/list", LIST)
    seen = []
    got = await fetcher.get(ask(), lambda done, total: seen.append((done, total)))
    assert (got.same, got.etag, got.received, got.resumed_at) == (False, page.etag, len(LIST), 0)
    assert ask().part.read_bytes() == LIST
    assert seen[-1] == (len(LIST), len(LIST))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


async def test_a_copy_that_is_the_newest_costs_no_bytes(server, fetcher, ask):
    page = server.put("/list", LIST)
    got = await fetcher.get(ask(etag=page.etag))
    assert (got.same, server.counts["304"], server.counts["bytes"]) == (True, 1, 0)
    page.content += b"new.example\n"
    assert not (await fetcher.get(ask(etag=got.etag))).same


async def test_without_an_etag_the_time_counts(server, fetcher, ask):
    server.put("/list", LIST)
    first = await fetcher.get(ask())
    assert (await fetcher.get(ask(last_modified=first.last_modified))).same


async def test_a_transfer_that_broke_off_goes_on_where_it_was(server, fetcher, ask):
    page = server.put("/list", LIST, cut=50_000)
    with pytest.raises(FetchError, match=r"ClientPayloadError|ClientOSError|ServerDisconnected"):
        await fetcher.get(ask())
    held = ask().part.stat().st_size
    assert 0 < held < len(LIST)
    page.cut = None
    got = await fetcher.get(ask())
    assert got.resumed_at == held
    assert got.received == len(LIST) - held
    assert ask().part.read_bytes() == LIST


async def test_tries_within_one_update_resume_too(server, fetcher, ask):
    page = server.put("/list", LIST, cut=100_000)

    def mend(_request) -> None:
        if server.counts["/list"] >= 1:
            page.cut = None

    server._every = mend
    got = await fetcher.get(ask())
    assert got.resumed_at > 0
    assert (server.counts["200"], server.counts["206"]) == (1, 1)
    assert ask().part.read_bytes() == LIST


@pytest.mark.parametrize("change", ["content", "weak", "nameless", "other address"])
async def test_what_cannot_be_resumed_begins_anew(server, fetcher, ask, change):
    page = server.put("/list", LIST, cut=50_000, strong=change != "weak", names_itself=change != "nameless")
    with pytest.raises(FetchError):
        await fetcher.get(ask())
    server.put("/other", LIST)
    page.cut = None
    if change == "content":
        page.content = LIST[::-1]
    got = await fetcher.get(ask("/other" if change == "other address" else "/list"))
    assert got.resumed_at == 0
    assert ask().part.read_bytes() == page.content


async def test_a_part_longer_than_the_file_is_thrown_away(server, fetcher, ask):
    page = server.put("/list", LIST)
    partfile.begin(ask().part, ask().url, etag=page.etag, last_modified="", date="")
    ask().part.write_bytes(LIST + b"too much")
    server._every = lambda request: server.pages.update(
        {"/list": server.pages["/list"] if "Range" not in request.headers else type(page)(status=416)}
    )
    server.pages["/list"] = page
    with pytest.raises(FetchError, match="416"):
        await fetcher.get(ask())
    assert not ask().part.exists()


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
async def test_more_bytes_than_allowed_are_not_kept(server, fetcher, ask, told):
    server.put("/list", LIST * 5, chunked=not told)
    with pytest.raises(FetchError, match="more than 1000 bytes"):
        await fetcher.get(ask(max_bytes=1000))
    assert not ask().part.exists()


async def test_nothing_is_unpacked_on_the_way(server, fetcher, ask):
    bomb = gzip.compress(bytes(50_000_000))
    server.put("/list", bomb, headers={"Content-Encoding": "gzip"})
    got = await fetcher.get(ask())
    assert got.received == len(bomb)
    assert ask().part.read_bytes() == bomb


async def test_a_packing_that_was_not_asked_for(server, fetcher, ask):
    server.put("/list", LIST, headers={"Content-Encoding": "br"})
    with pytest.raises(FetchError, match="not asked for"):
        await fetcher.get(ask())


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_an_answer_without_a_list_is_asked_for_once(server, fetcher, ask, status):
    server.put("/list", status=status)
    with pytest.raises(FetchError, match=f"the server answered {status}"):
        await fetcher.get(ask())
    assert server.counts["/list"] == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_a_server_that_is_busy_is_asked_again(server, fetcher, ask, status):
    server.put("/list", status=status)
    with pytest.raises(FetchError, match=f"the server answered {status}"):
        await fetcher.get(ask())
    assert server.counts["/list"] == QUICK.tries


async def test_a_slow_server_ends_at_the_time_allowed_and_keeps_what_came(server, authority, names, ask):
    server.put("/list", LIST, drip=0.05)
    async with Fetcher(names, authority.client_context(), FetchSettings(time=1.0, pause=0.01)) as fetcher:
        with pytest.raises(FetchError, match="took longer than 1 s"):
            await fetcher.get(ask())
    server.pages["/list"].drip = 0
    async with Fetcher(names, authority.client_context(), QUICK) as fetcher:
        assert (await fetcher.get(ask())).resumed_at > 0
    assert ask().part.read_bytes() == LIST


async def test_a_server_that_says_nothing(server, authority, names, ask):
    server.put("/list", LIST, drip=30)
    settings = FetchSettings(time=20, idle=0.2, tries=2, pause=0.01)
    async with Fetcher(names, authority.client_context(), settings) as fetcher:
        with pytest.raises(FetchError, match="Timeout"):
            await fetcher.get(ask())


async def test_redirects_are_followed_to_public_addresses_only(server, fetcher, ask):
    server.put("/list", LIST)
    server.put("/moved", status=302, headers={"Location": server.url("/list", "mirror.test")})
    server.put("/here", status=301, headers={"Location": "/list"})
    for path in ("/moved", "/here"):
        assert (await fetcher.get(ask(path))).received == len(LIST)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("https://inside.test/list", "inside.test leads to 10.0.0.5, which is not a public address"),
        ("https://192.168.1.1/list", "192.168.1.1, which is not a public address"),
        ("https://169.254.169.254/latest/meta-data", "not a public address"),
        ("https://[::ffff:10.0.0.1]/list", "not a public address"),
        ("https://[fd00::1]/list", "not a public address"),
        ("http://lists.test/list", "is not an HTTPS address"),
        ("file:///etc/passwd", "is not an HTTPS address"),
        ("https://user:secret@lists.test/list", "is not an HTTPS address without a password"),
        ("https://nowhere.test/list", "no address of nowhere.test is known"),
        ("https://2130706433/list", "no address|not an address"),
        ("https://0x7f.1/list", "no address|not an address"),
        ("https://[bad/list", "which is no address"),
    ],
)
async def test_a_redirect_inside_is_refused(server, fetcher, ask, location, message):
    server.put("/list", status=302, headers={"Location": location})
    with pytest.raises(FetchError, match=message.replace("[", r"\[")):
        await fetcher.get(ask())


async def test_redirects_come_to_an_end(server, fetcher, ask):
    server.put("/list", status=302, headers={"Location": "/list"})
    with pytest.raises(FetchError, match="more than 5 redirects"):
        await fetcher.get(ask())


async def test_a_private_address_is_refused_unless_its_range_is_allowed(server, authority, ask):
    server.put("/list", LIST)
    ways = [Way("written", written({"lists.test": ["127.0.0.1"]}))]
    async with Fetcher(Names(ways), authority.client_context(), QUICK) as fetcher:
        with pytest.raises(FetchError, match=r"lists.test leads to 127.0.0.1, which is not a public address"):
            await fetcher.get(ask())
    assert not server.counts
    async with Fetcher(Names(ways, [LOOPBACK]), authority.client_context(), QUICK) as fetcher:
        assert (await fetcher.get(ask())).received == len(LIST)


@pytest.mark.parametrize("fault", ["authority", "host", "time"])
async def test_a_wrong_certificate(authority, names, tmp_path, fault):
    issuer = Authority(tmp_path, "somebody else") if fault == "authority" else authority
    host = "other.test" if fault == "host" else "lists.test"
    with Server(issuer.server_context("lists.test", days=-1 if fault == "time" else 30)) as server:
        server.put("/list", LIST)
        async with Fetcher(names, authority.client_context(), QUICK) as fetcher:
            with pytest.raises(FetchError, match="not to be trusted"):
                await fetcher.get(Ask(server.url("/list", host), tmp_path / "part", 1 << 20))
        assert not server.counts


async def test_names_are_asked_for_in_turn_and_once(server, authority, ask):
    server.put("/list", LIST)
    asked = []

    def way(name, answer):
        async def tell(host):
            asked.append((name, host))
            if isinstance(answer, Exception):
                raise answer
            return answer

        return Way(name, tell)

    names = Names(
        [
            way("system", OSError("DNS is down")),
            way("blocked", ["0.0.0.0", "::"]),
            way("nonsense", ["not an address"]),
            way("remembered", ["127.0.0.1"]),
            way("never", ["127.0.0.2"]),
        ],
        [LOOPBACK],
    )
    async with Fetcher(names, authority.client_context(), QUICK) as fetcher:
        for _ in range(3):
            await fetcher.get(ask())
    assert [name for name, _ in asked] == ["system", "blocked", "nonsense", "remembered"]
    assert {host: [str(one) for one in found] for host, found in names.pinned.items()} == {
        "lists.test": ["127.0.0.1"]
    }


async def test_no_more_transfers_at_a_time_than_asked_for(server, authority, names, tmp_path):
    for number in range(12):
        server.put(f"/{number}", LIST[:2000], drip=0.01)
    settings = FetchSettings(parallel=3, per_host=2, time=30)
    under_way = most = 0

    def count(done: int, total: int, number: int, begun: set[int] = set()) -> None:  # noqa: B006 - shared on purpose
        nonlocal under_way, most
        if number not in begun:
            begun.add(number)
            under_way += 1
            most = max(most, under_way)
        if done == total:
            under_way -= 1

    async with Fetcher(names, authority.client_context(), settings) as fetcher:
        await asyncio.gather(
            *(
                fetcher.get(
                    Ask(server.url(f"/{n}", HOSTS[n % 2]), tmp_path / f"part-{n}", 1 << 20),
                    lambda done, total, n=n: count(done, total, n),
                )
                for n in range(12)
            )
        )
    assert 2 <= most <= 3


async def test_a_disk_without_room(server, fetcher, ask):
    server.put("/list", LIST)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(FetchError, match=r"part cannot be written: File too large"):
            await fetcher.get(ask())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (await fetcher.get(ask())).resumed_at == 100_000


async def test_random_cuts_always_end_in_the_whole_file(server, fetcher, ask):
    chance = random.Random(3)
    page = server.put("/list", LIST)
    server._every = lambda _request: setattr(
        page, "cut", chance.choice([None, chance.randrange(1, len(LIST))])
    )
    for _ in range(40):
        try:
            await fetcher.get(ask())
            break
        except FetchError:
            continue
    assert ask().part.read_bytes() == LIST
