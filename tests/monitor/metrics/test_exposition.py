from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import time
from typing import Any

import aiohttp
import pytest
from sqlalchemy import create_engine, insert

from filterd.monitor.access import registry
from filterd.monitor.health import HEALTH, KNOWN_KEYS, LATENCY_BUCKETS, LATENCY_SUM, combined
from filterd.monitor.settings import MonitorLimits
from filterd.monitor.store.paperwork import SCHOOLS
from filterd.monitor.store.schema import MARKS
from filterd.resolver import health as resolver_health
from filterd.server.latency import Histogram

pytestmark = pytest.mark.both_engines

BOX1 = '{box="box1",school="school-1"}'


async def fill(monitor: Any, make: Any) -> None:
    usage = [
        make.usage(queries=100),
        make.usage(outcome="blocked", category="gambling", queries=7),
        make.usage(outcome="blocked", category="gambling", tier="senior", queries=2),
    ]
    events = [make.event(count=4), make.event(name="x.example", category="")]
    values = dict.fromkeys(KNOWN_KEYS, 1.0) | {key: float(n) for n, (_, key) in enumerate(LATENCY_BUCKETS)}
    delivery = make.delivery(make.batch(1, events, usage), health=make.health(values=values))
    assert (await monitor.post(delivery))[0] == 200


async def test_promtool_finds_nothing_to_say(monitor: Any, make: Any) -> None:
    await fill(monitor, make)
    await monitor.post(b"nonsense")
    _, text = await monitor.get("/metrics")
    found = subprocess.run(
        [promtool(), "check", "metrics"], input=text, text=True, capture_output=True, timeout=30, check=False
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    for metric in HEALTH:
        assert f"# HELP {metric.name}" in text


def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.fail("promtool is missing: apt-get install prometheus")
    return found


async def test_counters_come_from_what_is_stored(monitor: Any, make: Any) -> None:
    await fill(monitor, make)
    await fill(monitor, make)  # sent twice, counted once
    labels = 'group="class-7",outcome="blocked",school="school-1"'
    assert await monitor.metric("filterd_queries_total") == {
        '{category="none",group="class-7",outcome="allowed",school="school-1",tier="middle"}': 100,
        f'{{category="gambling",{labels},tier="middle"}}': 7,
        f'{{category="gambling",{labels},tier="senior"}}': 2,
    }
    assert await monitor.metric("filterd_events_total") == {
        '{category="gambling",school="school-1",verdict="block"}': 1,
        '{category="none",school="school-1",verdict="block"}': 1,
    }
    assert await monitor.metric("filterd_event_lookups_total") == {
        '{category="gambling",school="school-1",verdict="block"}': 4,
        '{category="none",school="school-1",verdict="block"}': 1,
    }


async def test_counters_do_not_fall_by_a_restart(start: Any, make: Any) -> None:
    monitor = await start()
    await fill(monitor, make)
    before = await monitor.metric("filterd_queries_total")
    await monitor.end()
    monitor = await start()
    assert await monitor.metric("filterd_queries_total") == before


async def test_no_name_client_or_pseudonym_is_shown(monitor: Any, make: Any) -> None:
    await fill(monitor, make)
    _, text = await monitor.get("/metrics")
    for secret in ("casino.example", "abcdefgh", "local-gambling", "token"):
        assert secret not in text
    labels = set(re.findall(r'[{,]([a-z_]+)="', text))
    assert labels <= {
        "school", "box", "group", "tier", "category", "outcome", "verdict", "result", "kind", "status",
        "table", "task", "le", "region", "district", "label", "version", "policy_version", "index_version",
        *(m.label[0] for m in HEALTH if m.label),
    }  # fmt: skip


async def test_label_values_are_bounded_and_the_rest_is_counted(start: Any, make: Any) -> None:
    limits = MonitorLimits(groups=3, tiers=2, categories=2)
    monitor = await start(limits=limits)

    def usage(first: int, last: int) -> list[Any]:
        return [make.usage(group=f"g{n}", tier=f"t{n}", category=f"c{n}") for n in range(first, last)]

    await monitor.post(make.delivery(make.batch(1, [], usage(0, 10))))
    before = await monitor.metric("filterd_queries_total")
    assert {re.search('group="(.*?)"', key)[1] for key in before} == {"g0", "g1", "g2", "other"}  # type: ignore[index]
    assert {re.search('tier="(.*?)"', key)[1] for key in before} == {"t0", "t1", "other"}  # type: ignore[index]
    assert sum(before.values()) == 10
    folded = await monitor.metric("filterd_labels_folded_total")
    assert folded == {'{label="group"}': 7, '{label="tier"}': 8, '{label="category"}': 8}
    # The same values keep their labels after a restart, also when others come first.
    await monitor.end()
    monitor = await start(limits=limits)
    await monitor.post(make.delivery(make.batch(2, [], [*usage(20, 25), *usage(0, 10)])))
    after = await monitor.metric("filterd_queries_total")
    assert after.keys() >= before.keys()
    assert all(after[key] >= value for key, value in before.items())
    assert {re.search('group="(.*?)"', key)[1] for key in after} == {"g0", "g1", "g2", "other"}  # type: ignore[index]
    # Reports need the real groups: the hours keep them.
    assert monitor.sql("SELECT count(DISTINCT group_id) FROM usage") == [(15,)]


async def test_a_group_named_other_or_none_makes_no_double_series(monitor: Any, make: Any) -> None:
    usage = [make.usage(category=c, group=g) for c in ("", "none", "other") for g in ("other", "none")]
    await monitor.post(make.delivery(make.batch(1, [], usage)))
    _, text = await monitor.get("/metrics")
    series = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(series) == len(set(series))


async def test_silence_is_not_health(monitor: Any, make: Any, clock: Any) -> None:
    await fill(monitor, make)
    assert (await monitor.metric("filterd_box_up")) == {
        BOX1: 1,
        '{box="box2",school="school-1"}': 0,
        '{box="far1",school="school-2"}': 0,
    }
    assert (await monitor.metric("filterd_cache_entries")) == {BOX1: 1}
    clock.now += 901
    assert (await monitor.metric("filterd_box_up"))[BOX1] == 0
    assert (await monitor.metric("filterd_box_last_seen_timestamp_seconds"))[BOX1] == make.now
    assert (await monitor.metric("filterd_cache_entries")) == {}
    assert (await monitor.metric("filterd_answer_duration_seconds_count")) == {}


async def test_a_clock_set_back_does_not_make_silence_look_like_health(
    monitor: Any, make: Any, clock: Any
) -> None:
    clock.now += 400 * 86_400
    await monitor.post(make.delivery(health=make.health()))
    clock.now -= 400 * 86_400
    assert (await monitor.metric("filterd_box_up"))[BOX1] == 0
    assert await monitor.metric("filterd_cache_entries") == {}
    await monitor.post(make.delivery(health=make.health(at=make.now - 5)))
    assert (await monitor.metric("filterd_box_up"))[BOX1] == 1
    assert await monitor.metric("filterd_cache_entries") == {BOX1: 3}


async def test_the_processes_of_a_box_are_taken_together(monitor: Any, make: Any) -> None:
    for worker, (entries, upstreams, oldest) in enumerate([(10, 2, 0), (30, 1, 5000), (2, 3, 7000)]):
        values = {"cache_entries": entries, "upstream_0_up": upstreams, "outbox_oldest": oldest}
        health = make.health(values=values, policy_version=f"p{worker % 2}")
        await monitor.post(make.delivery(stream=f"{worker:032x}", health=health))
    assert await monitor.metric("filterd_cache_entries") == {BOX1: 42}
    assert await monitor.metric("filterd_upstream_up") == {'{box="box1",school="school-1",upstream="0"}': 1}
    assert await monitor.metric("filterd_outbox_oldest_timestamp_seconds") == {BOX1: 5000}
    assert len(await monitor.metric("filterd_box_info")) == 2


def test_a_time_of_zero_means_never() -> None:
    assert combined([{"outbox_oldest": 0.0, "cache_entries": 0.0}]) == {"cache_entries": 0.0}
    assert combined([]) == {}


def test_the_table_is_consistent() -> None:
    kinds: dict[str, tuple[str, str, str | None]] = {}
    for metric in HEALTH:
        assert re.fullmatch("[a-z][a-z0-9_]{0,63}", metric.key)
        assert not metric.name.endswith("_total")
        shape = (metric.kind, metric.help, metric.label[0] if metric.label else None)
        assert kinds.setdefault(metric.name, shape) == shape
    assert len({metric.key for metric in HEALTH} | {LATENCY_SUM}) == len(HEALTH) + 1


def test_what_the_resolver_tells_has_its_metric() -> None:
    told = set(resolver_health.HELP) | {
        f"upstream_{n}_{key}" for n in (0, 15) for key in resolver_health.UPSTREAM_HELP
    }
    assert told <= KNOWN_KEYS


def test_the_latency_histogram_is_the_servers() -> None:
    assert set(Histogram().values()) == {LATENCY_SUM, *(key for _, key in LATENCY_BUCKETS)}


async def test_label_values_are_escaped(monitor: Any, make: Any) -> None:
    await monitor.post(make.delivery(health=make.health(version='a"b\\c')))
    _, text = await monitor.get("/metrics")
    assert 'version="a\\"b\\\\c"' in text


async def test_metrics_with_a_token(start: Any) -> None:
    monitor = await start(metrics_token_sha256="0" * 64)
    assert (await monitor.get("/metrics", admin=False))[0] == 401
    assert (await monitor.get("/metrics"))[0] == 200


async def test_problems_are_counted(monitor: Any, make: Any) -> None:
    await monitor.post(make.delivery(make.batch(1)), token="wrong")  # noqa: S106
    await monitor.post(b"x")
    await monitor.post(make.delivery(make.batch(1)))
    assert await monitor.metric("filterd_ingest_deliveries_total") == {
        '{result="bad-token"}': 1,
        '{result="bad-json"}': 1,
        '{result="stored"}': 1,
    }
    assert await monitor.metric("filterd_http_problems_total") == {'{status="401"}': 1, '{status="400"}': 1}


@pytest.mark.sqlite_only
async def test_a_real_prometheus_scrapes_it(monitor: Any, make: Any, tmp_path: Any, free_port: int) -> None:
    await fill(monitor, make)
    program = shutil.which("prometheus")
    if program is None:
        pytest.fail("prometheus is missing: apt-get install prometheus")
    target = monitor.url.removeprefix("http://")
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "filterd", "static_configs": [{"targets": [target]}]}],
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    arguments = [
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/tsdb",
        f"--web.listen-address=127.0.0.1:{free_port}",
    ]
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(60):
            query = 'filterd_queries_total{category="gambling",tier="middle"}'
            (series,) = await ask(monitor.session, free_port, query)
            assert series["value"][1] == "7"
            assert (series["metric"]["school"], series["metric"]["outcome"]) == ("school-1", "blocked")
            (series,) = await ask(monitor.session, free_port, "filterd_answer_duration_seconds_count")
            assert series["metric"]["box"] == "box1"
            (series,) = await ask(monitor.session, free_port, 'up{job="filterd"}')
            assert series["value"][1] == "1"
    finally:
        process.terminate()
        await process.wait()


async def ask(session: aiohttp.ClientSession, port: int, query: str) -> list[Any]:
    """Return what Prometheus answers, once it answers anything."""
    while True:
        try:
            url = f"http://127.0.0.1:{port}/api/v1/query"
            async with session.get(url, params={"query": query}) as reply:
                if reply.status == 200 and (found := (await reply.json())["data"]["result"]):
                    return list(found)
        except aiohttp.ClientError:
            pass  # it is still starting
        await asyncio.sleep(0.1)


def listed(school: str) -> dict[str, Any]:
    texts = {column.name: "A Person" for column in SCHOOLS.c if column.name.startswith(("title", "resp"))}
    numbers = {"devices": 0, "changed": 0}
    place = {"school": school, "region": "almaty", "district": "medeu"}
    return {**texts, **numbers, **place, "operator_service": "", "operator_since": ""}


async def test_a_school_is_shown_with_its_place(monitor: Any, make: Any) -> None:
    await fill(monitor, make)
    assert set(await monitor.metric("filterd_school_info")) == {
        '{district="none",region="none",school="school-1"}',
        '{district="none",region="none",school="school-2"}',
    }
    engine = create_engine(monitor.settings.database.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(insert(SCHOOLS), listed("school-1"))
        row = {"school": "", "name": registry.NAME, "at": 1}  # what every command does beside its change
        connection.execute(insert(MARKS), row)
    engine.dispose()
    wanted = {
        '{district="medeu",region="almaty",school="school-1"}',
        '{district="none",region="none",school="school-2"}',
    }
    deadline = time.monotonic() + 30
    while set(await monitor.metric("filterd_school_info")) != wanted:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    assert await monitor.metric("filterd_demonstration") == {"": 0}
    _, text = await monitor.get("/metrics")
    assert "A Person" not in text
