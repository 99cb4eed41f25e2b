"""Every panel of the dashboards, asked of a real Prometheus that scrapes a real `filterd run`."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from _ask import ask
from _endpoint import get
from _programs import Filterd, Program, Unbound, free_port, until
from _world import Papers

ROOT = Path(__file__).parents[2]
TOKEN = "a-second-school"  # noqa: S105 - of this test only
PLACES = {"$region": ".*", "$district": ".*", "$school": "mektep-1", "$box": ".*", "$__rate_interval": "30s"}
SECONDS = 150.0  # until a test gives up; usually it takes some twenty


@pytest.fixture
def filterd(start: Callable[..., Filterd], papers: Papers, unbound: Unbound) -> Filterd:
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    boxes = {"other": {"school": "mektep-2", "token_sha256": digest}}
    one = start(papers.config(unbound.server, monitor={"boxes": boxes}))
    done = one.run("selftest")
    assert done.returncode in (0, 1), done.stderr  # categories without a list of the tests fail it
    return one


def tell(filterd: Filterd) -> None:
    """Be the box of a second school, one that gets the region's bundles."""
    now = int(time.time())
    health = {
        "at": now,
        "started": now - 60,
        "version": "1",
        "policy_version": "p",
        "index_version": "i",
        "values": {"bundle_serial": 7.0, "lists_oldest": now - 3600.0, "lists_failed": 0.0},
    }
    delivery = {"box": "other", "school": "mektep-2", "stream": "0" * 32, "batches": [], "health": health}
    status, body = get(f"{filterd.url}/v1/batches", token=TOKEN, body=json.dumps(delivery).encode())
    assert status == 200, body


@pytest.fixture
def prometheus(filterd: Filterd, tmp_path: Path) -> Iterator[str]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.fail("prometheus is missing: apt-get install prometheus")
    shipped = ROOT / "deploy/prometheus"
    config = yaml.safe_load((shipped / "prometheus.yml").read_text("utf-8"))
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(shipped / "rules/*.yml")]
    del config["alerting"]  # nobody listens there in a test
    config["scrape_configs"][0]["static_configs"] = [{"targets": [filterd.url.removeprefix("http://")]}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    running = Program(
        [
            program,
            f"--config.file={tmp_path}/prometheus.yml",
            f"--storage.tsdb.path={tmp_path}/tsdb",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        tmp_path / "prometheus",
    )
    yield f"http://127.0.0.1:{port}"
    running.kill()


def asked(url: str, expression: str) -> list[Any]:
    """Return what Prometheus answers to a panel's query."""
    for name, value in PLACES.items():
        expression = expression.replace(name, value)
    query = urllib.parse.urlencode({"query": expression})
    try:
        status, body = get(f"{url}/api/v1/query?{query}")
    except OSError:
        return []  # it is still starting
    if status == 503:
        return []
    assert status == 200, (expression, body)
    return list(json.loads(body)["data"]["result"])


@pytest.mark.timeout(300)
def test_every_panel_has_data(filterd: Filterd, prometheus: str) -> None:
    waiting = {
        (path.stem, panel["title"], target["expr"])
        for path in (ROOT / "deploy/grafana/dashboards").glob("*.json")
        for panel in json.loads(path.read_text("utf-8"))["panels"]
        for target in panel.get("targets", [])
    }
    assert len(waiting) > 40
    turn = 0

    def all_answered() -> bool:
        nonlocal turn
        turn += 1
        if turn % 10 == 1:
            tell(filterd)
        for name in ("casino.example", "ok.example", f"n{turn}.flood.example"):
            ask(filterd.v4, name)
        time.sleep(0.3)  # a pace of questions, not a wait for anything
        for one in sorted(waiting):
            if asked(prometheus, one[2]):
                waiting.discard(one)
        return not waiting

    try:
        until(all_answered, "data", SECONDS)
    except AssertionError:
        pytest.fail(f"panels without data: {sorted(one[:2] for one in waiting)}")
    # The rules are loaded and work: nothing here is broken but what the tests leave out.
    _, body = get(f"{prometheus}/api/v1/rules")
    rules = [rule for group in json.loads(body)["data"]["groups"] for rule in group["rules"]]
    assert [rule["lastError"] for rule in rules if rule.get("lastError")] == []
    blocked = asked(prometheus, 'sum(filterd_queries_total{school="$school", outcome="blocked"})')
    assert float(blocked[0]["value"][1]) > 0
