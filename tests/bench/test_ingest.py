"""bench/ingest as a person would run it, only shorter; and that what its boxes send is what boxes send."""

from __future__ import annotations

import gzip
import json

import pytest
from harness import boxes, growth, ingest

from filterd.events.batch import Delivery


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.setattr(ingest, "BUILD", tmp_path / "build")
    monkeypatch.setattr(ingest.signal, "signal", lambda *_: None)


def test_a_short_run_on_both_stores_says_what_was_stored(tmp_path, capsys):
    size = ["--schools", "10", "--rate", "200", "--every", "0.5", "--seconds", "2", "--warm", "0.5"]
    assert ingest.main([*size, "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "results.json").read_text())
    assert found["runs"].keys() == {"postgresql", "sqlite"}
    for run in found["runs"].values():
        assert run["statuses"] == {"200": run["deliveries"]}
        assert run["events"] == 10 * run["deliveries"]
        assert 0 < run["p50_ms"] <= run["p99_ms"] <= run["p100_ms"]
        assert run["rows"] > 0
        assert run["log"] == []
    assert "events/s stored" in capsys.readouterr().out


def test_growing_months_show_the_time_of_the_report(tmp_path, capsys):
    assert ingest.main(["--growth", "0.002", "0.004", "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "results.json").read_text())["growth"]
    assert [one["events"] for one in found] == [2000, 4000]
    assert all(one["report_seconds"] > 0 for one in found)
    assert found[1]["device_days"] > found[0]["device_days"] > 0
    assert growth.REPORT[0] in capsys.readouterr().out


def test_what_the_boxes_send_is_a_delivery():
    box = boxes.Box(7, [f"name-{n}.kz" for n in range(100)], seed=1)
    found = [Delivery.model_validate_json(gzip.decompress(box.delivery(50, 5.0, n * 20.0))) for n in range(3)]
    numbers = [batch.sequence for delivery in found for batch in delivery.batches]
    assert numbers == list(range(1, len(numbers) + 1))
    assert all(sum(len(batch.events) for batch in delivery.batches) == 50 for delivery in found)
    assert any(delivery.health is not None for delivery in found)


def test_quantiles():
    assert boxes.quantile([], 0.5) == 0
    assert boxes.quantile([1.0, 2.0, 3.0, 4.0], 0.99) == 4.0
    assert boxes.quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
