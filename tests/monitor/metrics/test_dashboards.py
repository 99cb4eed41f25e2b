"""deploy/grafana: dashboards that Grafana can read and people can understand; e2e asks their queries."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy/grafana"
BOARDS = {path.stem: json.loads(path.read_text("utf-8")) for path in (FOLDER / "dashboards").glob("*.json")}
KINDS = {"row", "stat", "timeseries", "bargauge", "heatmap", "table"}
UNITS = {"short", "reqps", "cps", "percentunit", "s", "bytes"}
NAMES = ("region", "school")


def panels(name: str) -> Iterator[dict[str, Any]]:
    return (panel for panel in BOARDS[name]["panels"] if panel["type"] != "row")


def expressions() -> list[str]:
    return [target["expr"] for name in NAMES for panel in panels(name) for target in panel["targets"]]


def test_there_are_two() -> None:
    assert set(BOARDS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_is_whole(name: str) -> None:
    board = BOARDS[name]
    assert board["uid"] == f"filterd-{name}"
    assert {"title", "description", "schemaVersion", "templating", "time", "timezone"} <= set(board)
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    assert {panel["type"] for panel in board["panels"]} <= KINDS
    for variable in board["templating"]["list"]:
        assert variable["label"]
        assert variable["description"]
    names = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(board["panels"]))) - {"__rate_interval"}
    assert used <= names


@pytest.mark.parametrize("name", NAMES)
def test_a_panel_is_understood(name: str) -> None:
    titles = [panel["title"] for panel in panels(name)]
    assert len(titles) == len(set(titles))
    for panel in panels(name):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"]
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert defaults["unit"] in UNITS, panel["title"]
        assert defaults["thresholds"]["steps"][0]["value"] is None
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"]
        for target in panel["targets"]:
            assert target["expr"]
            assert target["instant"] is not target["range"]


@pytest.mark.parametrize("name", NAMES)
def test_panels_do_not_lie_on_each_other(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[name]["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + right, place["y"] + down)
            for right in range(place["w"])
            for down in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_schools_are_compared_by_rate() -> None:
    """A counter's own value says how old a school's filter is, not how it does."""
    for expression in expressions():
        for counter in re.findall(r"(?<![\w:])filterd_\w+_total", expression):
            assert re.search(rf"rate\({counter}", expression), expression


def test_queries_are_made_of_what_exists() -> None:
    documented = set(
        re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/metrics.md").read_text("utf-8"), re.MULTILINE)
    )
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules/recording.yml").read_text("utf-8"))["groups"]
    recorded = {rule["record"] for group in rules for rule in group["rules"]}
    for expression in expressions():
        assert set(re.findall(r"\w+:\w+:\w+", expression)) <= recorded
        for metric in re.findall(r"(?<![\w:$\"])filterd_\w+(?![\w:])", expression):
            assert metric.removesuffix("_bucket") in documented, metric


def test_nothing_asks_for_a_device() -> None:
    text = json.dumps(BOARDS)
    for word in ("pseudonym=", "client=", "domain=", "by (pseudonym", "by (client"):
        assert word not in text


def test_provisioning_points_at_them() -> None:
    source = yaml.safe_load((FOLDER / "provisioning/datasources/prometheus.yaml").read_text("utf-8"))
    assert source["datasources"][0]["type"] == "prometheus"
    provider = yaml.safe_load((FOLDER / "provisioning/dashboards/filterd.yaml").read_text("utf-8"))
    assert provider["providers"][0]["options"]["path"].startswith("/")
