"""The resolver as a whole: coalescing, deadlines, bounds, and that it never raises."""

from __future__ import annotations

import ast
import asyncio
from pathlib import Path

import pytest

from filterd.resolver.request import Reply
from filterd.resolver.resolver import Resolver
from filterd.resolver.settings import ResolverSettings
from filterd.rules.index import Index

GOOD = "198.51.100.1"
ROOM = Path(__file__).resolve().parents[2] / "filterd" / "resolver"


def good(ask):
    return ask.reply(f"{ask.name} 60 IN A {GOOD}")


@pytest.fixture
def held(make_upstream):
    """Starts an upstream that answers only once it is released."""

    async def make():
        release = asyncio.Event()

        async def script(ask):
            await release.wait()
            return good(ask)

        upstream = await make_upstream(script)
        upstream.release = release
        return upstream

    return make


async def test_5452_one_query_in_flight_per_key(make_asking, held, until):
    upstream = await held()
    asking = await make_asking(upstream)
    waiting = [asyncio.ensure_future(asking("WWW.example" if odd else "www.EXAMPLE")) for odd in range(20)]
    await until(lambda: asking.health["waiters"] == 20)
    assert asking.health["flights"] == 1
    upstream.release.set()
    assert {tuple(answered.data) for answered in await asyncio.gather(*waiting)} == {(GOOD,)}
    assert len({ask.name for ask in upstream.asked}) == 1
    assert asking.health["coalesced"] == 19
    assert asking.health["waiters"] == asking.health["flights"] == 0


async def test_each_waiting_client_is_judged_by_its_own_view(make_asking, make_upstream, make_view, until):
    release = asyncio.Event()

    async def script(ask):
        await release.wait()
        return ask.reply(f"{ask.name} 60 IN CNAME casino.example.", f"casino.example. 60 IN A {GOOD}")

    asking = await make_asking(await make_upstream(script))
    pupil = asyncio.ensure_future(asking("www.example"))
    teacher = asyncio.ensure_future(asking("www.example", view=make_view(blocked=())))
    await until(lambda: asking.health["waiters"] == 2)
    release.set()
    assert (await pupil).outcome == "blocked"
    assert (await teacher).outcome == "allowed"


async def test_a_cancelled_client_does_not_disturb_the_others(make_asking, held, until):
    upstream = await held()
    asking = await make_asking(upstream)
    first, second = (asyncio.ensure_future(asking("www.example")) for _ in range(2))
    await until(lambda: asking.health["waiters"] == 2)
    first.cancel()
    upstream.release.set()
    assert (await second).data == [GOOD]
    with pytest.raises(asyncio.CancelledError):
        await first
    assert asking.health["faults"] == 0


async def test_when_all_clients_left_the_answer_is_still_kept(make_asking, held, until):
    upstream = await held()
    asking = await make_asking(upstream)
    only = asyncio.ensure_future(asking("www.example"))
    await until(lambda: asking.health["waiters"] == 1)
    only.cancel()
    upstream.release.set()
    await until(lambda: not asking.health["flights"])
    assert asking.now("www.example").data == [GOOD]


async def test_waiting_clients_are_bounded_and_the_rest_hear_at_once(make_asking, held, until):
    upstream = await held()
    asking = await make_asking(upstream, max_waiters=3)
    waiting = [asyncio.ensure_future(asking("www.example")) for _ in range(3)]
    await until(lambda: asking.health["waiters"] == 3)
    turned_away = await asking("www.example")
    assert (turned_away.rcode, turned_away.outcome) == ("SERVFAIL", "failed")
    assert asking.health["shed"] == 1
    upstream.release.set()
    assert all(answered.data == [GOOD] for answered in await asyncio.gather(*waiting))


async def test_questions_under_way_are_bounded_and_stale_answers_help(
    make_asking, held, upstream, clock, until
):
    slow = await held()
    asking = await make_asking(slow, max_flights=2)
    slow.release.set()
    await asking("known.example")
    slow.release.clear()
    clock.shift = 100
    waiting = [asyncio.ensure_future(asking(f"n{number}.example")) for number in range(2)]
    await until(lambda: asking.health["flights"] == 2)
    assert (await asking("third.example")).rcode == "SERVFAIL"
    assert (await asking("known.example")).outcome == "stale"
    slow.release.set()
    await asyncio.gather(*waiting)


async def test_nobody_waits_longer_than_the_deadline_and_a_late_answer_is_kept(make_asking, held, until):
    upstream = await held()
    asking = await make_asking(upstream, deadline=0.1, stale_after=0.1)
    answered = await asking("www.example")
    assert (answered.rcode, answered.codes) == ("SERVFAIL", [22])
    assert asking.health["flights"] == 1
    upstream.release.set()
    await until(lambda: not asking.health["flights"])
    assert (await asking("www.example")).data == [GOOD]


def test_all_upstreams_dead_is_told_in_under_two_seconds():
    assert ResolverSettings().deadline < 2
    assert ResolverSettings().stale_after == 1.8


async def test_who_comes_to_an_overdue_question_gets_the_stale_answer_at_once(
    make_asking, held, clock, until
):
    upstream = await held()
    asking = await make_asking(upstream, fetch_timeout=30)
    upstream.release.set()
    await asking("www.example")
    upstream.release.clear()
    clock.shift = 100
    first = asyncio.ensure_future(asking("www.example"))
    await until(lambda: asking.health["flights"] == 1)
    clock.shift = 102
    second = asyncio.ensure_future(asking("www.example"))
    await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
    assert second.done()
    assert not first.done()
    assert (await second).outcome == "stale"
    assert asking.health["waiters"] == 1
    assert (await first).outcome == "stale"


async def test_resolve_alone_does_everything(make_asking, upstream):
    asking = await make_asking(upstream)
    assert (await asking("casino.example")).outcome == "blocked"
    assert (await asking("localhost")).data == ["127.0.0.1"]
    assert (await asking("mask.icloud.com")).rcode == "NXDOMAIN"


async def test_a_lookup_is_begun_once_for_both_calls(make_asking, make_upstream):
    asking = await make_asking(await make_upstream(good))
    request = asking.request_for("www.example")
    assert asking.resolver.resolve_now(request) is None
    assert (await asking.resolver.resolve(request)).outcome == "allowed"
    assert asking.health["cache_misses"] == 1


async def test_an_answer_that_came_between_both_calls_is_used(make_asking, make_upstream):
    upstream = await make_upstream(good)
    asking = await make_asking(upstream)
    request = asking.request_for("www.example")
    assert asking.resolver.resolve_now(request) is None
    await asking("www.example")
    assert (await asking.resolver.resolve(request)).outcome == "allowed"
    assert len(upstream.asked) == 1


async def test_lists_that_changed_between_both_calls_count(make_asking, make_upstream, index):
    asking = await make_asking(await make_upstream(good))
    asking.resolver.index = Index.empty()
    request = asking.request_for("casino.example")
    assert asking.resolver.resolve_now(request) is None
    asking.resolver.index = index
    assert (await asking.resolver.resolve(request)).outcome == "blocked"


async def test_lookups_that_nobody_comes_back_for_are_bounded(ask):
    for number in range(3000):
        ask.now(f"n{number}.example")
    assert len(ask.resolver._parked) <= 1024


async def test_before_the_start_nothing_is_fetched_and_everything_is_answered(index, request_for):
    resolver = Resolver(ResolverSettings(), index)
    assert resolver.resolve_now(request_for("casino.example")).outcome == "blocked"
    assert (await resolver.resolve(request_for("www.example"))).outcome == "failed"


async def test_after_the_close_clients_that_wait_still_hear(make_asking, held, until):
    asking = await make_asking(await held(), deadline=0.2, stale_after=0.1)
    waiting = asyncio.ensure_future(asking("www.example"))
    await until(lambda: asking.health["waiters"] == 1)
    await asking.resolver.close()
    assert (await waiting).rcode == "SERVFAIL"
    assert (await asking("casino.example")).outcome == "blocked"


class Broken(Index):
    """Lists that cannot be read any more."""

    def lookup(self, _name):
        raise RuntimeError("the disk is gone")


async def test_it_never_raises(make_asking, make_upstream):
    asking = await make_asking(await make_upstream(good))
    asking.resolver.index = Broken.of({})
    for reply in (asking.now("www.example"), await asking("www.example")):
        assert (reply.rcode, reply.outcome) == ("SERVFAIL", "failed")
    assert asking.health["faults"] == 2
    asking.resolver.index = Index.empty()
    assert (await asking("www.example")).data == [GOOD]


async def test_a_fault_after_the_fetch_is_answered_too(make_asking, make_upstream, index, until):
    release = asyncio.Event()

    async def script(ask):
        await release.wait()
        return ask.reply(f"{ask.name} 60 IN CNAME b.example.", f"b.example. 60 IN A {GOOD}")

    asking = await make_asking(await make_upstream(script))
    request = asking.request_for("www.example")
    waiting = asyncio.ensure_future(asking.resolver.resolve(request))
    await until(lambda: asking.health["waiters"] == 1)
    original = asking.resolver.core.answer
    asking.resolver.core.answer = lambda *_: 1 / 0
    release.set()
    reply = await waiting
    assert isinstance(reply, Reply)
    assert reply.outcome == "failed"
    asking.resolver.core.answer = original


async def test_a_client_that_cannot_be_answered_does_not_silence_the_others(make_asking, held, until):
    upstream = await held()
    asking = await make_asking(upstream)
    heard = []
    for done in (lambda _reply: 1 / 0, heard.append):
        assert asking.resolver.submit(asking.request_for("www.example"), done) is None
    upstream.release.set()
    await until(lambda: heard)
    assert heard[0].outcome == "allowed"
    assert asking.health["faults"] == 1


def test_no_task_is_made_without_keeping_it():
    """A task that nobody holds may vanish: every create_task stands on the right side of an assignment."""
    for file in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                called = ast.unparse(node.value.func)
                assert not called.endswith(("create_task", "ensure_future")), f"{file.name}:{node.lineno}"
