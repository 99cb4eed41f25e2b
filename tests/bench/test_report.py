from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from harness import plots, report, svg
from harness.results import Results, merged
from harness.settings import Standing
from harness.stats import Sample

MACHINE = {
    "date": "2026-01-01", "processor": "P", "cores": 2, "memory_mib": 1, "kernel": "k", "system": "s",
    "python": "3", "source": "x", "settings": {},
}  # fmt: skip


def sample(peer, workload, number, **values):
    return Sample(10_000, peer, workload, number, values)


def speed(peer, number, qps):
    return sample(
        peer, "hits", number, qps=qps, cpu_us=1e6 / qps, calibration_qps=400.0, foreign=0.0, lost=0, wrong=0,
        load_core_busy=0.5, server_core_busy=1.0,
    )  # fmt: skip


@pytest.fixture
def results():
    standings = {
        "filterd": Standing(
            "filterd", "ours", "1", below=True, facts={"compile_s": 2.0, "compile_peak_mib": 9.0}
        ),
        "unbound": Standing("Unbound", "", "2"),
        "blocky": Standing("Blocky", "", state="absent", reason="no go"),
    }
    samples = [speed("filterd", n, 300.0 + n) for n in range(3)] + [
        speed("unbound", n, 200.0) for n in range(3)
    ]
    samples += [
        sample("filterd", "memory", 0, private=5.0, largest=4.0, mapped=3.0, shared=2.0),
        sample("filterd", "start", 0, first_answer=0.5, first_block=0.5),
        sample(
            "filterd",
            "rate-1000",
            0,
            p50_us=1,
            p90_us=2,
            p99_us=3,
            p999_us=4,
            cpu_us=5,
            qps=1000,
            lost=0,
            wrong=0,
        ),
    ]
    return Results(MACHINE, {10_000: standings}, samples)


def test_table_aligns_figures_to_the_right():
    assert report.table(["", "n"], [["a", "1"], ["long", "100"]]).splitlines() == [
        "        n",
        "----  ---",
        "a       1",
        "long  100",
    ]


def test_the_report_ranks_and_names_who_is_absent(results):
    text = report.text(results)
    lines = text.splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith("filterd ") and "301" in line)
    assert lines[first].split()[1:5] == ["301", "0%", "1.50", "-"]
    assert lines[first + 1].startswith("unbound")
    assert "blocky       Blocky: ABSENT: no go" in text
    assert "latency of hits at 1,000 questions a second" in text


def test_the_price_of_blocking(results):
    results.samples += [
        sample("filterd", workload, 0, qps=1.0, cpu_us=cost, busiest_us=cost / 2)
        for workload, cost in (("allowed", 4.0), ("blocked", 6.0))
    ]
    text = report.text(results)
    assert "CPU time of a blocked hit against an allowed one" in text
    assert "filterd        4.00        6.00   1.50                 2.00        3.00   1.50" in text


def test_disturbed_figures_are_marked(results):
    results.samples[:] = [speed("filterd", 0, 300.0)]
    results.samples[0].values["foreign"] = 0.2
    assert "filterd ~" in report.text(results)


def test_results_survive_their_file(results, tmp_path):
    results.save(tmp_path / "r.json")
    assert report.text(Results.load(tmp_path / "r.json")) == report.text(results)
    (tmp_path / "other.json").write_text('{"format": 0}')
    with pytest.raises(ValueError, match="another version"):
        Results.load(tmp_path / "other.json")


def test_two_runs_become_one(results):
    other = Results(MACHINE, {20_000: {"unbound": Standing("Unbound", "")}}, [speed("unbound", 0, 250.0)])
    both = merged([results, other])
    assert list(both.standings) == [10_000, 20_000]
    assert "± is half the range" in report.text(both)
    assert len({s.round for s in both.samples if (s.peer, s.workload) == ("unbound", "hits")}) == 4


def test_pictures_are_xml(results):
    pictures = plots.draw(results)
    assert set(pictures) == {"hits-10k", "hits-cpu-10k", "rate-1000-p99-10k", "memory-10k"}
    for picture in pictures.values():
        assert ET.fromstring(picture).tag.endswith("svg")  # noqa: S314 - our own text


def test_lines_leave_out_what_is_missing():
    picture = svg.lines(
        "a < b", "note", ["10k", "1m"], [svg.Line("x", [1.0, None]), svg.Line("y", [2.0, 3.0])]
    )
    assert "a &lt; b" in picture
    ET.fromstring(picture)  # noqa: S314 - our own text


@pytest.mark.parametrize("highest", [0.0, 0.4, 7.0, 99.0, 172_159.0])
def test_ticks_reach_the_highest(highest):
    found = svg.ticks(highest)
    assert found[0] == 0
    assert found[-1] >= highest
    assert 2 <= len(found) <= 7


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.5, "0.50"), (12.34, "12.3"), (345.6, "346"), (12345, "12,345")]
)
def test_numbers(value, text):
    assert svg.number(value) == text
