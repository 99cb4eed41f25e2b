from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from filterd.monitor.casework import schools
from filterd.monitor.settings import Target
from filterd.monitor.store.store import Store

pytestmark = pytest.mark.both_engines
NOW = 1_795_000_000


def promtool() -> str:
    found = shutil.which("promtool")
    assert found, "promtool is missing: ./tests/run installs it"
    return found


async def noted(settings: Any, *rows: dict[str, Any]) -> None:
    store = await Store.open(settings)
    wanted = [schools.SchoolRow(**row) for row in rows]
    await store.write(lambda c: schools.put(c, wanted, by="Aliya", now=NOW))
    await store.close()


async def pages(monitor: Any, path: str, key: str) -> list[list[Any]]:
    """Return the pages of a listing, followed to their end."""
    found, cursor = [], ""
    while True:
        status, page = await monitor.get(path + cursor)
        assert status == 200, page
        found.append(page[key])
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


async def test_schools_with_and_without_boxes(start: Any, settings: Any, make: Any, clock: Any) -> None:
    await noted(
        settings,
        {"id": "school-1", "title_kk": "Мектеп", "region": "abai", "district": "semey"},
        {"id": "school-3", "region": "abai", "district": "kurchatov"},
    )
    monitor = await start(clock=clock)
    await monitor.post(make.delivery(make.batch(1)))
    found = await pages(monitor, "/v1/schools?limit=2", "schools")
    assert [[one["school"] for one in page] for page in found] == [["school-1", "school-2"], ["school-3"]]
    by_id = {one["school"]: one for page in found for one in page}
    assert by_id["school-1"]["titles"] == {"kk": "Мектеп", "ru": "", "en": ""}
    assert by_id["school-1"]["boxes"] == {"reporting": 1, "silent": 0, "never": 1}
    assert by_id["school-2"]["boxes"] == {"reporting": 0, "silent": 0, "never": 1}
    assert by_id["school-3"]["boxes"] == {"reporting": 0, "silent": 0, "never": 0}
    (page,) = await pages(monitor, "/v1/schools?district=semey", "schools")
    assert [one["school"] for one in page] == ["school-1"]
    (none,) = await pages(monitor, "/v1/schools?region=nowhere", "schools")
    assert none == []
    info = await monitor.metric("filterd_school_info")
    assert info['{district="semey",region="abai",school="school-1"}'] == 1


async def test_a_silent_box_is_shown_as_silent(start: Any, make: Any, clock: Any) -> None:
    monitor = await start(clock=clock)
    await monitor.post(make.delivery(make.batch(1), health=make.health(at=NOW - 30)))
    (page,) = await pages(monitor, "/v1/boxes?school=school-1&limit=5", "boxes")
    assert [(one["box"], one["state"]) for one in page] == [("box1", "reporting"), ("box2", "never")]
    assert page[0] == {
        "school": "school-1",
        "box": "box1",
        "state": "reporting",
        "origin": "configuration",
        "last_seen": NOW,
        "token_issued": None,
        "older_token_until": None,
        "version": "0.1.0",
        "policy_version": "p1",
        "index_version": "i1",
        "clock_offset": -30,
    }
    assert (page[1]["last_seen"], page[1]["clock_offset"]) == (None, None)
    clock.now += 901
    (silent,) = await pages(monitor, "/v1/boxes?state=silent", "boxes")
    assert [one["box"] for one in silent] == ["box1"]
    assert (await pages(monitor, "/v1/boxes?state=reporting", "boxes")) == [[]]
    every = await pages(monitor, "/v1/boxes?limit=1", "boxes")
    assert [page[0]["box"] for page in every] == ["box1", "box2", "far1"]


@pytest.mark.parametrize("path", ["/v1/schools", "/v1/boxes"])
async def test_only_for_the_admin_and_only_known_parameters(monitor: Any, path: str) -> None:
    assert (await monitor.get(path, admin=False))[0] == 401
    for query in ("x=1", "limit=0", "limit=x", "limit=1&limit=2", "school=%00"):
        assert (await monitor.get(f"{path}?{query}"))[0] == 400
    for cursor in ("x", "_w", "AAAA" * 20 + "x"):
        assert (await monitor.get(f"{path}?cursor={cursor}"))[0] == 404
    assert (await monitor.get("/v1/boxes?state=dead"))[0] == 400


async def test_targets_for_prometheus(start: Any, settings: Any) -> None:
    region = {"region": "abai", "district": "semey"}
    other = region | {"district": "kurchatov"}
    await noted(settings, {"id": "school-1", **region}, {"id": "school-2", **other})
    others = (Target("[2001:db8::1]:8053", {"school": "school-7", "region": "abai"}),)
    monitor = await start(targets=others, public="monitor.abai.example:8053")
    status, found = await monitor.get("/v1/targets", admin=False)
    assert status == 200
    assert found == [
        {"targets": ["monitor.abai.example:8053"], "labels": {"region": "abai"}},
        {"targets": ["[2001:db8::1]:8053"], "labels": {"school": "school-7", "region": "abai"}},
    ]
    async with monitor.session.get(f"{monitor.url}/v1/targets") as reply:
        assert reply.content_type == "application/json"  # as Prometheus wants it


@pytest.mark.sqlite_only
async def test_prometheus_itself_finds_the_targets(start: Any, tmp_path: Path) -> None:
    monitor = await start(targets=(Target("192.0.2.7:8053", {"school": "school-7"}),))
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "scrape_configs:\n  - job_name: filterd\n    honor_labels: true\n    http_sd_configs:\n"
        f"      - url: {monitor.url}/v1/targets\n"
    )
    done = await asyncio.to_thread(
        subprocess.run,
        [promtool(), "check", "service-discovery", "--timeout", "8s", str(config), "filterd"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {one["labels"]["__address__"]: one["labels"] for one in json.loads(done.stdout)}
    assert set(found) == {monitor.url.removeprefix("http://"), "192.0.2.7:8053"}
    assert found["192.0.2.7:8053"]["school"] == "school-7"


async def test_the_target_of_one_school_bears_its_name(start: Any, settings: Any) -> None:
    await noted(settings, {"id": "school-1", "district": "semey"})
    monitor = await start(boxes={"box1": settings.boxes["box1"]})
    (found,) = (await monitor.get("/v1/targets", admin=False))[1]
    assert found["labels"] == {"school": "school-1", "district": "semey"}
    assert found["targets"] == [monitor.url.removeprefix("http://")]


async def test_targets_are_shut_when_metrics_are(start: Any) -> None:
    monitor = await start(metrics_token_sha256="f" * 64)
    assert (await monitor.get("/v1/targets", admin=False))[0] == 401
    assert (await monitor.get("/v1/targets"))[0] == 200
