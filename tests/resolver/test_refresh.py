"""Names that are asked for are fetched anew before their time is over."""

from __future__ import annotations

GOOD, NEXT = "198.51.100.1", "198.51.100.2"


async def test_a_name_asked_for_at_the_end_of_its_life_is_fetched_anew(
    make_asking, make_upstream, clock, until
):
    upstream = await make_upstream(lambda ask: ask.reply(f"{ask.name} 100 IN A {GOOD}"))
    asking = await make_asking(upstream)
    await asking("www.example")
    clock.shift += 80
    assert asking.now("www.example").data == [GOOD]
    assert asking.health["refreshed"] == 0, "a fifth of its life is left"
    upstream.script = lambda ask: ask.reply(f"{ask.name} 100 IN A {NEXT}")
    clock.shift += 12
    assert asking.now("www.example").data == [GOOD], "the client does not wait for it"
    await until(lambda: asking.now("www.example").data == [NEXT])
    assert asking.health["refreshed"] == 1
    clock.shift += 15
    assert asking.now("www.example").data == [NEXT], "the old answer would be gone by now"


async def test_it_is_fetched_once_however_many_ask(make_asking, make_upstream, clock):
    upstream = await make_upstream(lambda ask: ask.reply(f"{ask.name} 100 IN A {GOOD}"))
    asking = await make_asking(upstream)
    await asking("www.example")
    clock.shift += 95
    for _ in range(20):
        asking.now("www.example")
    assert asking.health["refreshed"] == 1


async def test_rd_0_never_triggers_a_fetch(make_asking, make_upstream, clock):
    upstream = await make_upstream(lambda ask: ask.reply(f"{ask.name} 100 IN A {GOOD}"))
    asking = await make_asking(upstream)
    await asking("www.example")
    clock.shift += 95
    assert asking.now("www.example", rd=False).data == [GOOD]
    assert asking.health["refreshed"] == 0


async def test_an_upstream_that_fails_leaves_the_answer_as_it_was(make_asking, make_upstream, clock, until):
    upstream = await make_upstream(lambda ask: ask.reply(f"{ask.name} 100 IN A {GOOD}"))
    asking = await make_asking(upstream)
    await asking("www.example")
    upstream.script = lambda ask: ask.reply(rcode="SERVFAIL")
    clock.shift += 95
    asking.now("www.example")
    await until(lambda: asking.health["flights"] == 0)
    assert asking.now("www.example").data == [GOOD]


async def test_9520_a_failing_upstream_is_not_asked_at_every_hit(make_asking, make_upstream, clock, until):
    upstream = await make_upstream(lambda ask: ask.reply(f"{ask.name} 100 IN A {GOOD}"))
    asking = await make_asking(upstream)
    await asking("www.example")
    upstream.script = lambda ask: ask.reply(rcode="SERVFAIL")
    clock.shift += 95
    for _ in range(10):
        assert asking.now("www.example").data == [GOOD]
        await until(lambda: asking.health["flights"] == 0)
    assert asking.health["refreshed"] <= 2  # the second one only if all this took over a second
