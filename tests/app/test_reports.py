"""``filterd report``: the commands, on the database of a configuration."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "monitor" / "reports"))

from _reportseed import CELLS, ZONE, Seed, fill, region

from filterd.cli.root import root
from filterd.monitor.reports.month import Month
from filterd.monitor.store.schema import USAGE_MONTHS

LAST = Month.at(time.time(), ZONE).before
MONTH = str(LAST)
YEAR = LAST.first.year


@pytest.fixture
def state(tmp_path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def run(state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def command(*words: object, status: int = 0) -> tuple[str, str]:
        done = CliRunner().invoke(
            root, ["report", *map(str, words), "--state", str(state)], catch_exceptions=False
        )
        assert done.exit_code == status, done.output
        assert "Traceback" not in done.output
        return done.stdout, done.stderr

    return command


def test_a_school_from_nothing_to_signed(run, state, tmp_path):
    fill(state / "monitor.sqlite", Seed("s001", dict(CELLS), month=LAST))
    out, err = run("monthly", "--school", "s001", "--month", MONTH, "--lang", "ru", "--output", "a.html")
    assert out == ""
    assert "version 1" in err
    assert "written: a.html" in err
    page = (tmp_path / "a.html").read_text("utf-8")
    assert "Ежемесячный отчёт о фильтрации контента" in page
    assert "Ещё не подписан." in page
    assert stat.S_IMODE((tmp_path / "a.html").stat().st_mode) == 0o600
    run("sign", "--school", "s001", "--month", MONTH, "--by", "Әсел Өмірбекова")
    listed, _ = run("list")
    assert re.fullmatch(
        rf"{MONTH}  school s001  version 1, made .* UTC  [0-9a-f]{{16}}  signed by Әсел Өмірбекова\n", listed
    )
    run("monthly", "--school", "s001", "--month", MONTH, "--lang", "kk", "--output", "a.html")
    assert "Әлі қол қойылмаған" not in (tmp_path / "a.html").read_text("utf-8")
    assert run("list", "--school", "s001")[0] == listed
    assert run("list", "--region", "almaty")[0] == ""


@pytest.mark.parametrize(
    ("name", "begins"), [("r.pdf", b"%PDF"), ("r.xlsx", b"PK"), ("r.csv", b"\xef\xbb\xbf"), ("r.json", b"{")]
)
def test_the_format_follows_the_name(name, begins, run, state, tmp_path):
    fill(state / "monitor.sqlite", *region(3, month=LAST))
    run("monthly", "--region", "almaty", "--month", MONTH, "--output", name)
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_standard_output_and_default_names(run, state, tmp_path):
    fill(state / "monitor.sqlite", *region(2, month=LAST))
    out, _ = run("monthly", "--district", "medeu", "--month", MONTH, "--format", "json", "--output", "-")
    assert json.loads(out)["scope"]["kind"] == "district"
    run("monthly", "--region", "", "--month", MONTH, "--format", "csv", "--lang", "en")
    assert (tmp_path / f"region-all-{MONTH}-en.csv").is_file()


def test_an_old_version_is_written_as_it_was(run, state, tmp_path):
    fill(state / "monitor.sqlite", Seed("s001", dict(CELLS), month=LAST))
    run("monthly", "--school", "s001", "--month", MONTH, "--output", "a.json")
    first = (tmp_path / "a.json").read_bytes()
    late = {"school": "s001", "month": LAST.number, "tier": "guest", "category": "", "outcome": "allowed"}
    fill(state / "monitor.sqlite", (USAGE_MONTHS, [late | {"queries": 5}]))
    _, err = run("monthly", "--school", "s001", "--month", MONTH, "--output", "b.json")
    assert "version 2" in err
    run("monthly", "--school", "s001", "--month", MONTH, "--version", 1, "--output", "c.json")
    assert (tmp_path / "c.json").read_bytes() == first


def test_all_reports_of_a_month(run, state):
    fill(state / "monitor.sqlite", *region(12, month=LAST))
    out, err = run("monthly", "--all", "--month", MONTH)
    assert out == f"{MONTH}: 14 reports made, 0 unchanged, 0 failed\n"
    assert re.search(rf"{MONTH}: \d+ of 14", err), "progress is shown"
    assert (
        run("monthly", "--all", "--month", MONTH)[0] == f"{MONTH}: 0 reports made, 14 unchanged, 0 failed\n"
    )
    assert len(run("list")[0].splitlines()) == 14


def test_without_a_month_it_is_the_last_one(run, state):
    fill(state / "monitor.sqlite", Seed("s001", dict(CELLS), month=LAST))
    out, _ = run("monthly", "--all")
    assert out.startswith(f"{LAST}: 3 reports made")


def test_the_yearly_pack(run, state, tmp_path):
    fill(state / "monitor.sqlite", Seed("example-school", dict(CELLS), month=LAST))
    change = {
        "number": 1,
        "at": f"{YEAR}-01-02T07:08:09+00:00",
        "what": "reload",
        "who": "Гүлнар",
        "user": "root",
    }
    change |= {"why": "casino.kz", "old": "a" * 12, "new": "b" * 12}
    (state / "policy.log.jsonl").write_text(json.dumps(change) + "\n", "utf-8")
    run("monthly", "--school", "example-school", "--month", MONTH, "--output", "a.html")
    _, err = run("yearly", "--school", "example-school", "--year", YEAR, "--lang", "kk", "--output", "y.html")
    assert "1 months are kept" in err
    page = (tmp_path / "y.html").read_text("utf-8")
    assert "Мазмұнды сүзудің жылдық шолуы" in page
    assert "Гүлнар" in page
    assert "casino" not in page
    run("yearly", "--school", "example-school", "--year", YEAR, "--output", "y.json")
    pack = json.loads((tmp_path / "y.json").read_bytes())
    assert len(pack["changes"]) == 1
    assert isinstance(pack["overdue"], list)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("monthly", "--school", "nowhere", "--month", MONTH), "no school 'nowhere' is known here"),
        (("monthly", "--school", "s001", "--month", "2026-13"), "'2026-13' is not a month (write year"),
        (("monthly", "--school", "s001", "--month", "2999-01"), "2999-01 has not begun"),
        (
            ("monthly", "--school", "s001", "--month", MONTH, "--output", "no/such/folder.html"),
            "cannot write",
        ),
        (("monthly", "--school", "s001", "--month", MONTH, "--version", "7"), "no version 7 of the report"),
        (("yearly", "--school", "s001", "--year", "2020"), "no report of s001 for 2020 is kept"),
        (
            ("sign", "--school", "s001", "--month", "2020-09", "--by", "Some Body"),
            "no report of s001 for 2020-09",
        ),
    ],
)
def test_errors_are_one_line_with_a_remedy(words, says, run, state):
    fill(state / "monitor.sqlite", Seed("s001", dict(CELLS), month=LAST))
    out, err = run(*words, status=1)
    last = err.splitlines()[-1]
    assert out == ""
    assert last.startswith("filterd: ")
    assert says in last
    assert last.endswith(")"), "a remedy"


def test_the_program_itself(state, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "filterd", "report", "monthly", "--school", "nowhere", "--state", state],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no school 'nowhere' is known here" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("monthly",),
        ("monthly", "--school", "a", "--region", "b"),
        ("monthly", "--all", "--school", "a"),
        ("sign", "--school", ""),
        ("monthly", "--school", ""),
    ],
)
def test_wrong_use(words, run):
    run(*words, *(("--by", "x") if words[0] == "sign" else ()), status=2)


def test_the_region_has_the_title_of_its_policy(state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(state / "monitor.sqlite", *region(2, month=LAST))
    region_file = Path(__file__).parents[2] / "policies" / "regions" / "example.yaml"
    found = region_file if region_file.is_file() else next(region_file.parent.glob("*.yaml"))
    (tmp_path / "filterd.yaml").write_text(f"policy: {{region: {found}}}\n", "utf-8")
    done = CliRunner().invoke(
        root,
        ["report", "monthly", "--region", "almaty", "--month", MONTH, "--lang", "ru", "--output", "a.html",
         "--config", "filterd.yaml", "--state", str(state)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "Регион: Город Алматы" in (tmp_path / "a.html").read_text("utf-8")
