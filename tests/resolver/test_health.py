from __future__ import annotations

from filterd.resolver.health import HELP, UPSTREAM_HELP


async def test_every_number_is_documented_and_every_documented_number_is_there(
    make_asking, upstream, dead_port
):
    asking = await make_asking(upstream, dead_port)
    await asking("www.example")
    keys = set(asking.health)
    expected = set(HELP) | {f"upstream_{number}_{name}" for number in (0, 1) for name in UPSTREAM_HELP}
    assert keys == expected
    assert all(isinstance(value, float) for value in asking.health.values())


async def test_every_count_of_the_core_is_shown(ask, upstream):
    for name in ("localhost", "casino.example", "mask.icloud.com", "www.example", "a.www.example"):
        await ask(name)
    upstream.script = lambda ask: ask.reply(rcode="SERVFAIL")
    await ask("broken.org")
    assert set(ask.resolver.core.counts) <= set(HELP)
    assert ask.health["canaries"] == ask.health["special_names"] == ask.health["nxdomain_cuts"] == 1
    assert ask.health["fetch_rcode"] == ask.health["failed_answers"] == 1
