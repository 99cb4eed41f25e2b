"""deploy/prometheus: every alert is tested, told to people, and made of metrics that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from filterd.cli.root import root

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy/prometheus"
ALERTS = yaml.safe_load((FOLDER / "rules/alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
RECORDED = [
    rule
    for group in yaml.safe_load((FOLDER / "rules/recording.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
TESTS = yaml.safe_load((FOLDER / "tests/alerts.yml").read_text("utf-8"))["tests"]


def promtool(*arguments: str) -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.fail("promtool is missing: apt-get install prometheus")
    done = subprocess.run(
        [program, *arguments],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_configuration_is_right() -> None:
    assert "FAILED" not in promtool("check", "config", "prometheus.yml")
    found = promtool("check", "rules", "rules/alerts.yml", "rules/recording.yml")
    assert f"{len(ALERTS)} rules found" in found


def test_http_discovery_is_right_when_it_is_put_in_use(tmp_path: Path) -> None:
    text = (FOLDER / "prometheus.yml").read_text("utf-8")
    uncommented = re.sub(r"^  # (- job_name: filterd-region|    .*|  .*)$", r"  \1", text, flags=re.MULTILINE)
    jobs = yaml.safe_load(uncommented)["scrape_configs"]
    region = next(job for job in jobs if job["job_name"] == "filterd-region")
    assert region["http_sd_configs"][0]["url"].endswith("/v1/targets")
    region["http_sd_configs"][0].pop("authorization")
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump({"scrape_configs": [region]}))
    assert "SUCCESS" in promtool("check", "config", str(path))


def test_every_alert_fires_and_is_quiet() -> None:
    tested = {(test["name"].split(maxsplit=1)[0], test["name"].split(maxsplit=1)[1]) for test in TESTS}
    assert tested == {(rule["alert"], what) for rule in ALERTS for what in ("fires", "does not fire")}
    for test in TESTS:
        last = test["promql_expr_test"][-1]
        assert bool(last["exp_samples"]) == test["name"].endswith(" fires"), test["name"]
    assert "SUCCESS" in promtool("test", "rules", "tests/alerts.yml")


def test_the_texts_are_filled_in(tmp_path: Path) -> None:
    """Told that no alert is expected, promtool prints what it got: with school, box and figures."""
    tests = []
    for test in TESTS:
        name, _, what = test["name"].partition(" ")
        if what == "fires":
            asked = {"eval_time": test["promql_expr_test"][-1]["eval_time"], "alertname": name}
            kept = {key: value for key, value in test.items() if key != "promql_expr_test"}
            tests.append({**kept, "alert_rule_test": [{**asked, "exp_alerts": []}]})
    rules = [str(FOLDER / f"rules/{name}.yml") for name in ("recording", "alerts")]
    path = tmp_path / "tests.yml"
    path.write_text(yaml.safe_dump({"rule_files": rules, "evaluation_interval": "1m", "tests": tests}))
    program = shutil.which("promtool")
    assert program
    done = subprocess.run(
        [program, "test", "rules", str(path)], capture_output=True, text=True, timeout=300, check=False
    )
    said = done.stdout + done.stderr
    got = re.findall(r"Annotations:(\{.*\})", said)
    assert len(got) == len(ALERTS), said
    for text in got:
        assert "<error" not in text
        assert "{{" not in text
        assert "no value" not in text
        assert "NaN" not in text


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_an_alert_speaks_to_people(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    texts = rule["annotations"]
    assert set(texts) == {"summary", "description", "runbook"}
    assert len(texts["summary"]) <= 90
    for text in texts.values():
        assert 10 < len(text) <= 200
    assert texts["runbook"].endswith((".", "?"))


def test_the_table_is_the_rules() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| ([\w ]+) \| .+ \| (.+) \|$",
        (ROOT / "docs/alerts.md").read_text("utf-8"),
        re.MULTILINE,
    )
    assert rows == [
        (
            rule["alert"],
            rule["labels"]["severity"],
            rule.get("for", "at once"),
            rule["annotations"]["runbook"],
        )
        for rule in ALERTS
    ]


def test_rules_are_made_of_metrics_that_exist() -> None:
    documented = set(
        re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/metrics.md").read_text("utf-8"), re.MULTILINE)
    )
    recorded = {rule["record"] for rule in RECORDED}
    for rule in [*ALERTS, *RECORDED]:
        expression = rule["expr"]
        for name in re.findall(r"\w+:\w+:\w+", expression):
            assert name in recorded, name
        for name in re.findall(r"(?<![\w:])filterd_\w+(?![\w:])", expression):
            assert name.removesuffix("_bucket") in documented, name


def test_remedies_name_commands_that_exist() -> None:
    for rule in ALERTS:
        for command, sub in re.findall(r"filterd ([a-z]+)(?: ([a-z]+))?", rule["annotations"]["runbook"]):
            found = root.get_command(click.Context(root), command)
            assert found is not None, rule["alert"]
            if isinstance(found, click.Group) and sub:
                assert sub in found.list_commands(click.Context(found)), rule["alert"]
