"""An update against a real HTTPS server with every fault: what is good is taken, the rest changes nothing.

Named after the requirement it shows: R20, list freshness, last good on failure, shrink and growth.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import resource
import tarfile
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from _server import HOSTS, Authority, Server

from filterd.errors import ListError
from filterd.lists.catalogue import ListSource, Material
from filterd.lists.gate import Guarded
from filterd.lists.limits import DAY, Limits
from filterd.lists.popular import Popular
from filterd.lists.shelf import Shelf
from filterd.lists.status import health, standings
from filterd.lists.update import accept
from filterd.rules.index import SUBTREE, Entry
from filterd.rules.listinfo import ListInfo
from filterd.rules.view import View
from filterd.wire import names

NAMES = [f"bet-{number}.example" for number in range(2000)]
LIST = "".join(f"{name}\n" for name in NAMES)
CHANGED = LIST.encode() + b"changed.example\n"


def good(shelf: Shelf, source: ListSource) -> list[str]:
    """Return the lines of the copy that serves."""
    copy = shelf.state(source.id).good
    assert copy is not None
    path = shelf.path(source, copy)
    return (path / "domains" if path.is_dir() else path).read_text().splitlines()


def lines(found) -> bytes:
    return "".join(f"{name}\n" for name in found).encode()


def tar(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


async def test_r20_a_good_list_is_taken_and_then_only_confirmed(server, shelf, source, run, clock):
    server.put("/list", LIST)
    one = source()
    first = (await run(one))["betting"]
    assert (first.result, first.entries, first.received) == ("new", 2000, len(LIST))
    clock.now += DAY
    second = (await run(one))["betting"]
    assert (second.result, second.entries, second.received, server.counts["304"]) == ("same", 2000, 0, 1)
    copy = shelf.state("betting").good
    assert copy is not None
    assert copy.confirmed_at - copy.fetched_at == DAY
    assert good(shelf, one) == NAMES


async def test_a_change_is_taken_and_the_old_copy_goes(server, shelf, source, run):
    page = server.put("/list", LIST)
    one = source()
    await run(one)
    page.content += b"new.example\n"
    assert (await run(one))["betting"].entries == 2001
    assert len([entry for entry in (shelf.folder / "betting").iterdir() if entry.is_dir()]) == 1
    assert good(shelf, one)[-1] == "new.example"


@pytest.mark.parametrize("packing", ["tar.gz", "tar", "tar.gz.gz", "gz", "plain"])
async def test_a_folder_of_ut1_comes_in_any_packing(server, shelf, source, run, packing):
    listed = LIST.encode()
    files = {"gambling/domains": listed, "gambling/urls": b"a.example/x\n", "gambling/usage": b"black\n"}
    content = {
        "tar.gz": tar(files),
        "tar": tar(files, "w"),
        "tar.gz.gz": gzip.compress(tar(files)),
        "gz": gzip.compress(listed),
        "plain": listed,
    }[packing]
    server.put("/list", content)
    one = source(format="ut1", folder="gambling")
    assert (await run(one))["betting"].entries == 2000
    assert good(shelf, one) == NAMES
    copy = shelf.state("betting").good
    assert copy is not None
    texts = {entry.name for entry in shelf.path(one, copy).iterdir()}
    assert texts == ({"domains", "urls", "usage"} if packing.startswith("tar") else {"domains"})


# What comes instead of the list -> what is told, and whether the gate refused it or nothing came at all.
FAULTS = {
    "html": (b"<!DOCTYPE html><html><body>Log in to the Wi-Fi</body></html>", {}, "a web page instead"),
    "html without a doctype": (b"\n  <HTML>\n<head></head>", {}, "a web page instead"),
    "json": (b'{"message": "Not Found"}\n{"a": 1}', {}, "0 entries, at least 1 are expected"),
    "empty": (b"", {}, "0 entries, at least 1 are expected"),
    "comments only": (b"# nothing today\n" * 50, {}, "0 entries, at least 1 are expected"),
    "shrunk": (lines(NAMES[:1200]), {}, "shrank from 2000 to 1200 entries"),
    "grown": (lines(f"x{n}.example" for n in range(4000)), {}, "grew from 2000 to 4000 entries"),
    "100 times bigger": (LIST.encode() * 100, {}, "more than 4 MiB|more than 4194304 bytes|grew from 2000"),
    "zip bomb": (gzip.compress(bytes(300_000_000)), {}, "times its size|more than 4 MiB"),
    "zip bomb in tar": (tar({"gambling/domains": bytes(100_000_000)}), {}, "times its size|more than"),
    "utf-16": (LIST.encode("utf-16"), {}, "of its lines are understood|0 entries"),
    "latin prose": ("Il était.\n".encode("latin-1") * 500, {}, "of its lines are understood|0 entries"),
    "random bytes": (os.urandom(200_000), {}, "of its lines are understood|0 entries"),
    "cut gzip": (gzip.compress(LIST.encode())[:-500], {}, "ends in the middle"),
    "damaged gzip": (gzip.compress(LIST.encode())[:2000] + b"\0" * 500, {}, "damaged|ends in the middle"),
    "cut tar": (tar({"gambling/domains": LIST.encode()}, "w")[:5000], {}, "ends in the middle"),
    "a zip file": (b"PK\x03\x04" + bytes(5000), {}, "packed as zip"),
    "xz": (b"\xfd7zXZ\0" + bytes(5000), {}, "packed as xz"),
    "brotli on the way": (CHANGED, {"headers": {"Content-Encoding": "br"}}, "not asked for"),
    "cut on the way": (CHANGED, {"cut": 9000, "strong": False}, "Payload|Disconnected|ClientOSError"),
    "slow": (CHANGED, {"drip": 0.5}, "took longer than 3 s|Timeout"),
    "silent": (CHANGED, {"drip": 20}, "Timeout|took longer"),
    "404": (b"", {"status": 404}, "the server answered 404"),
    "500": (b"", {"status": 500}, "the server answered 500"),
    "redirect inside": (
        b"",
        {"status": 302, "headers": {"Location": "https://inside.test/list"}},
        "inside.test leads to 10.0.0.5, which is not a public address",
    ),
    "redirect to http": (b"", {"status": 302, "headers": {"Location": "http://x/"}}, "not an HTTPS address"),
    "redirect in circles": (b"", {"status": 302, "headers": {"Location": "/list"}}, "more than 5 redirects"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
async def test_r20_every_fault_leaves_the_last_good_copy_serving(server, shelf, source, run, fault):
    content, more, told = FAULTS[fault]
    server.put("/list", LIST)
    server.put("/other", LIST)
    one, other = source(), source("other", "/other")
    await run(one, other)
    server.put("/list", content, **more)
    server.put("/other", LIST + "more.example\n")
    outcomes = await run(one, other)
    assert outcomes["betting"].result in {"refused", "failed"}
    assert re.search(told, outcomes["betting"].why), outcomes["betting"].why
    assert outcomes["betting"].entries == 2000
    assert good(shelf, one) == NAMES
    assert outcomes["other"].result == "new", "the others go on"
    found = {item.id: item for item in standings([one, other], shelf, now=1_800_000_100)}
    assert found["betting"].state == outcomes["betting"].result
    assert found["betting"].trouble == outcomes["betting"].why
    assert found["other"].state == "good"
    assert health(found.values())["lists_failed"] == 1
    server.put("/list", LIST + "back.example\n")
    assert (await run(one))["betting"].entries == 2001, "and it recovers by itself"


@pytest.mark.parametrize("fault", ["authority", "time"])
async def test_r20_a_wrong_certificate_leaves_the_last_good_copy(  # noqa: PLR0917 - fixtures
    server, authority, shelf, source, run, tmp_path, fault
):
    server.put("/list", LIST)
    await run(source())
    issuer = Authority(tmp_path, "somebody else") if fault == "authority" else authority
    with Server(issuer.server_context(*HOSTS, days=-1 if fault == "time" else 30)) as wrong:
        wrong.put("/list", LIST)
        moved = source(url=wrong.url("/list"))
        outcome = (await run(moved))["betting"]
    assert outcome.result == "failed"
    assert "not to be trusted" in outcome.why
    assert good(shelf, moved) == NAMES


async def test_no_path_of_an_archive_is_ever_written(server, shelf, source, run, tmp_path):
    inside = tmp_path / "victim"
    inside.write_bytes(b"untouched")
    members = {
        "/etc/filterd-test/domains": b"absolute.example\n",
        "../../../victim": b"overwritten",
        f"{inside}": b"overwritten",
        "gambling/../../domains": b"above.example\n",
        "gambling/domains": LIST.encode(),
        "gambling/state.json": b"{}",
        "gambling/part": b"x",
    }
    server.put("/list", tar(members))
    one = source(format="ut1", folder="gambling")
    assert (await run(one))["betting"].entries == 2000
    assert inside.read_bytes() == b"untouched"
    written_files = {
        path.relative_to(shelf.folder).parts[-1] for path in shelf.folder.rglob("*") if path.is_file()
    }
    assert written_files == {"domains", "state.json", ".lock"}
    assert not Path("/etc/filterd-test").exists()


async def test_links_in_an_archive_lead_nowhere(server, shelf, source, run):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo("gambling/domains")
            link.type, link.linkname = kind, "/etc/passwd"
            archive.addfile(link)
        device = tarfile.TarInfo("gambling/urls")
        device.type = tarfile.CHRTYPE
        archive.addfile(device)
        info = tarfile.TarInfo("gambling/domains")
        info.size = len(LIST)
        archive.addfile(info, io.BytesIO(LIST.encode()))
    server.put("/list", buffer.getvalue())
    one = source(format="ut1", folder="gambling")
    assert (await run(one))["betting"].entries == 2000
    assert not any(path.is_symlink() for path in shelf.folder.rglob("*"))


async def test_a_mirror_is_asked_when_the_source_fails(server, shelf, source, run):
    server.put("/list", status=503)
    server.put("/mirror", gzip.compress(LIST.encode()))
    one = source(mirrors=[server.url("/mirror", "mirror.test")])
    assert (await run(one))["betting"].result == "new"
    server.put("/list", b"<html>maintenance</html>")
    assert (await run(one))["betting"].result == "same", (
        "a page where the list was: the mirror again, by its ETag"
    )
    assert server.counts["304"] == 1
    server.put("/list", LIST)
    assert (await run(one))["betting"].result == "same", "the source is back with the same list"


async def test_a_region_s_mirror_comes_first(server, shelf, source, run):
    server.put("/region/betting", LIST)
    assert (await run(source(), mirror=server.url("/region/", "region.test")))["betting"].result == "new"
    assert server.counts["/list"] == 0


async def test_r20_offline_for_weeks_the_last_good_lists_serve_and_their_age_shows(
    server, shelf, source, run, clock
):
    page = server.put("/list", LIST)
    one = source()
    await run(one)
    fetched_at = clock.now
    page.status = 503
    for _ in range(21):
        clock.now += DAY
        await run(one)
    (standing,) = standings([one], shelf, now=clock.now)
    assert (standing.state, standing.failures, standing.entries) == ("failed", 21, 2000)
    assert standing.trouble.endswith("not confirmed for 21 days")
    assert health([standing]) == {"lists_failed": 1, "lists_oldest": fetched_at}
    assert good(shelf, one) == NAMES
    page.status = 200
    page.content = "".join(f"{name}\n" for name in NAMES[:1300]).encode()  # a third less than three weeks ago
    assert (await run(one))["betting"].result == "new", "what changed in weeks is more than in a day"


async def test_a_list_that_is_never_asked_grows_old(server, shelf, source, run, clock):
    server.put("/list", LIST)
    one = source()
    await run(one)
    (standing,) = standings([one], shelf, now=clock.now + 15 * DAY)
    assert (standing.state, standing.trouble) == ("old", "not confirmed for 15 days")


async def test_a_refused_copy_is_not_fetched_again_and_a_person_may_accept_it(server, shelf, source, run):
    page = server.put("/list", LIST)
    one = source()
    await run(one)
    page.content = "".join(f"{name}\n" for name in NAMES[:300]).encode()
    refused = (await run(one))["betting"]
    assert refused.result == "refused"
    again = (await run(one))["betting"]
    assert (again.result, again.why, again.received) == ("refused", refused.why, 0)
    assert shelf.state("betting").failures == 2
    assert accept(shelf, one).entries == 300
    assert good(shelf, one) == NAMES[:300]
    assert (await run(one))["betting"].result == "same"
    with pytest.raises(ListError, match="no copy of betting was refused"):
        accept(shelf, one)


async def test_a_refused_copy_is_judged_anew_when_its_limits_change(server, shelf, source, run):
    page = server.put("/list", LIST)
    await run(source())
    page.content = "".join(f"{name}\n" for name in NAMES[:300]).encode()
    await run(source())
    wider = source(limits=Limits(max_shrink=0.9))
    outcome = (await run(wider))["betting"]
    assert (outcome.result, outcome.entries, outcome.received) == ("new", 300, 0)


async def test_limits_of_the_catalogue_hold_for_the_first_copy(server, shelf, source, run):
    server.put("/list", LIST)
    outcome = (await run(source(limits=Limits(min_entries=5000))))["betting"]
    assert (outcome.result, outcome.why) == ("refused", "2000 entries, at least 5000 are expected")
    assert shelf.state("betting").good is None


@pytest.fixture
def guarded(categories) -> Guarded:
    """A school that keeps kundelik.example and its own endpoint open, in a category that nothing lifts."""
    gambling = 1 << categories.by_id["gambling"].bit
    malware = 1 << categories.by_id["malware"].bit
    view = View(categories, locked=malware, blocked=gambling | malware, allowed=categories.allowing)
    edu = Entry(0, categories.by_id["allow_edu"].bit, SUBTREE)
    shut = Entry(1, categories.by_id["gambling"].bit, SUBTREE)
    kundelik, casino = names.from_text("kundelik.example"), names.from_text("casino.example")
    return Guarded(
        open={kundelik: "local-allow-edu", names.from_text("monitor.example"): "this box's endpoint"},
        shut={casino: "local-gambling"},
        views=[view],
        base={kundelik: [edu], casino: [shut]},
        infos=[
            ListInfo(0, "local-allow-edu", "allow_edu", "local"),
            ListInfo(1, "local-gambling", "gambling", "local"),
        ],
        popular=Popular(
            {names.from_text(f"popular-{n}.example"): frozenset() for n in range(100)}
            | {names.from_text("lottery.example"): frozenset({"gambling"})},
            "one",
        ),
    )  # fmt: skip


async def test_r24_a_list_that_would_block_what_must_stay_open_is_refused(server, source, run, guarded):
    server.put("/list", LIST + "monitor.example\n")
    outcome = (await run(source(), guarded=guarded))["betting"]
    assert (outcome.result, outcome.why) == ("refused", "would block monitor.example (this box's endpoint)")


async def test_r24_what_an_allow_list_keeps_open_anyway_is_no_reason(server, source, run, guarded):
    server.put("/list", LIST + "www.kundelik.example\nkundelik.example\n")
    assert (await run(source(), guarded=guarded))["betting"].result == "new"


async def test_r24_people_s_own_lists_are_held_to_it_too(server, source, run, guarded):
    """In a locked category, a list that people keep elsewhere blocks even what an allow list keeps open."""
    server.put("/list", LIST + "kundelik.example\n")
    outcome = (await run(source(origin="local", category="malware"), guarded=guarded))["betting"]
    assert (outcome.result, outcome.why) == ("refused", "would block kundelik.example (local-allow-edu)")


async def test_an_allow_list_may_not_open_what_people_block(server, source, run, guarded):
    server.put("/list", LIST + "casino.example\n")
    outcome = (await run(source(category="allow_edu"), guarded=guarded))["betting"]
    assert (outcome.result, outcome.why) == ("refused", "would open casino.example (local-gambling)")


async def test_popular_sites_that_a_list_names_anew_are_counted_and_named(server, source, run, guarded):
    some = [f"popular-{number}.example" for number in range(20)]
    page = server.put("/list", LIST + "\n".join([*some[:4], "lottery.example"]) + "\n")
    first = (await run(source(), guarded=guarded))["betting"]
    assert (first.result, first.newly) == ("new", tuple(some[:4]))
    page.content = (LIST + "\n".join(some[:7]) + "\n").encode()
    assert (await run(source(), guarded=guarded))["betting"].newly == tuple(sorted(some[4:7]))
    page.content = (LIST + "\n".join(some) + "\n").encode()
    outcome = (await run(source(), guarded=guarded))["betting"]
    assert outcome.result == "refused"
    assert outcome.why.startswith("names 13 popular sites anew, at most 3 are expected: popular-10.example")
    assert outcome.why.endswith("and 8 more")
    assert (await run(source(limits=Limits(max_popular=13)), guarded=guarded))["betting"].result == "new"


async def test_another_file_of_popular_sites_is_no_news(server, source, run, guarded):
    page = server.put("/list", LIST)
    await run(source(), guarded=guarded)
    other = Popular({names.from_text(name): frozenset() for name in NAMES[:500]}, "two")
    page.content += b"one-more.example\n"
    outcome = (await run(source(), guarded=replace(guarded, popular=other)))["betting"]
    assert (outcome.result, outcome.newly) == ("new", ())


async def test_only_one_update_at_a_time(server, shelf, source, run):
    server.put("/list", LIST)
    with shelf.alone(), pytest.raises(ListError, match="another update is running"):
        await run(source())


async def test_a_full_disk_leaves_the_last_good_copy(server, shelf, source, run):
    page = server.put("/list", LIST)
    one = source()
    await run(one)
    page.content += b"more.example\n" * 100
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        outcome = (await run(one))["betting"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert outcome.result == "failed"
    assert "File too large" in outcome.why
    assert good(shelf, one) == NAMES
    assert (await run(one))["betting"].result == "new"


async def test_a_lost_state_is_a_list_never_fetched(server, shelf, source, run):
    server.put("/list", LIST)
    one = source()
    await run(one)
    (shelf.folder / "betting" / "state.json").write_bytes(b"{damaged")
    assert shelf.state("betting").good is None
    assert (await run(one))["betting"].result == "new"


async def test_memory_is_bounded_by_no_claim_of_an_archive(server, shelf, source, run):
    """A header that claims gigabytes, an extended header of megabytes: refused before anything is held."""
    header = bytearray(tar({"gambling/domains": b"x"}, "w")[:512])
    header[156:157] = b"x"
    header[124:136] = b"%011o\0" % (400 << 20)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    server.put("/list", gzip.compress(bytes(header) + bytes(40_000_000)))
    tracemalloc.start()
    try:
        outcome = (await run(source(format="ut1", folder="gambling")))["betting"]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "a header of an archive is too large" in outcome.why
    assert peak < 20 << 20


def test_the_text_of_a_material_is_what_was_fetched(shelf, source, tmp_path):
    assert shelf.within(source(format="ut1"), tmp_path) == tmp_path
    assert Material(source(), shelf.within(source(), tmp_path)).path == tmp_path / "list"
