"""The commands of the department, on a real database; they are what people type, so each is typed here."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from filterd.cli.root import root


class Typed:
    """Types commands on one state folder."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def __call__(self, *words: str, fails: bool = False) -> str:
        """Return what a command prints; with ``fails`` the one line of its error."""
        done = CliRunner().invoke(root, [*words, "--state", str(self.state)], catch_exceptions=False)
        assert (done.exit_code != 0) == fails, done.output
        assert "Traceback" not in done.output
        return done.output

    def rows(self, *words: str) -> list[Any]:
        return [json.loads(line) for line in self(*words, "--json").splitlines()]


@pytest.fixture
def typed(tmp_path: Path) -> Typed:
    return Typed(tmp_path / "state")


def test_boxes(typed: Typed) -> None:
    first = typed("box", "add", "box7", "--school", "s-1").splitlines()[-1]
    second = typed("box", "rotate", "box7", "--days", "3").splitlines()[-1]
    assert len({first, second}) == 2
    assert min(len(first), len(second)) >= 43  # 256 random bits
    content = b"".join(path.read_bytes() for path in typed.state.rglob("*") if path.is_file())
    assert first.encode() not in content
    assert second.encode() not in content
    listed = {row["box"]: row for row in typed.rows("box", "list")}
    assert (listed["box7"]["state"], listed["box7"]["origin"]) == ("never", "store")
    assert listed["box7"]["older_token_until"] > 0
    assert listed["box"]["origin"] == "configuration"  # that of `filterd run`
    assert "never heard of" in typed("box", "list", "--school", "s-1", "--only", "never")
    assert typed("box", "list", "--only", "silent").startswith("no box")
    assert "rotate" in typed("box", "add", "box7", "--school", "s-1", fails=True)
    assert "2 tokens" in typed("box", "revoke", "box7", "--why", "stolen")
    assert "box list" in typed("box", "rotate", "box7", fails=True)
    assert [row["what"] for row in typed.rows("audit", "show", "--school", "s-1")] == [
        "box.revoke",
        "box.rotate",
        "box.add",
    ]


def test_schools_and_facts(typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "schools.csv"
    file.write_text("id;title_ru;devices\ns-1;Школа №1;120\ns-2;Школа №2;80\n", "utf-8-sig")
    assert "2 new" in typed("school", "import", str(file))
    typed(
        "school", "set", "s-1", "--operator-service", "yes", "--operator-since", "2026-09-01", "--by", "Aliya"
    )
    assert [row["operator_service"] for row in typed.rows("school", "list")] == ["yes", ""]
    assert "Школа №1" in typed("school", "list")
    file.write_text("id;devices\ns-3;5\ns-1;many\n", "utf-8")
    assert f"{file}:3:2: devices" in typed("school", "import", str(file), fails=True)
    assert len(typed.rows("school", "list")) == 2  # all or nothing
    typed("fact", "set", "--region", "--month", "2026-10", "specialists_total", "40")
    typed("fact", "set", "--school", "s-1", "--month", "2026-10", "incidents", "two hours without power")
    assert [row["value"] for row in typed.rows("fact", "list", "--month", "2026-10")] == [
        "40",
        "two hours without power",
    ]
    assert "one of" in typed("fact", "set", "--region", "--month", "2026-10", "specialists", "1", fails=True)
    assert "--school or --region" in typed("fact", "set", "--month", "2026-10", "incidents", "x", fails=True)
    assert typed("fact", "list", "--month", "2026-11").startswith("no fact")


def test_kibernadzor(typed: Typed, tmp_path: Path) -> None:
    by = ("--by", "Aliya")
    address = "https://terror.example/page"
    typed("kibernadzor", "add", "--url", address, "--reason", "extremism", "--evidence", "calls for x", *by)
    typed("kibernadzor", "add", "casino.example", "--school", "s-1", *by)
    shown = typed("kibernadzor", "list") + typed("kibernadzor", "list", "--json") + typed("audit", "show")
    assert "terror" not in shown
    assert "not displayed" in shown
    assert "casino.example" in shown
    typed("kibernadzor", "set", "1", "--to", "prepared", *by)
    assert "can be sent" in typed("kibernadzor", "set", "1", "--to", "confirmed", *by, fails=True)
    assert "--by" in typed("kibernadzor", "set", "1", "--to", "sent", fails=True)
    refused = typed("kibernadzor", "add", "x.example", "--evidence", "by 050101500123", *by, fails=True)
    assert "12 digits" in refused
    assert "050101500123" not in refused
    for kind in ("csv", "xlsx"):
        file = tmp_path / f"k.{kind}"
        typed("kibernadzor", "export", "--format", kind, "-o", str(file), *by)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert address in (tmp_path / "k.csv").read_text("utf-8-sig")
    assert typed("kibernadzor", "candidates").startswith("no report")


def test_reviews_and_cases(typed: Typed, tmp_path: Path) -> None:
    assert typed("review", "list").startswith("no open")
    with closing(sqlite3.connect(typed.state / "monitor.sqlite")) as connection:
        insert = "INSERT INTO review_requests VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"
        for number, (category, domain) in enumerate(
            [("social", "nasa.example"), ("csam", "evil.example")], 1
        ):
            row = (
                "s-1",
                number,
                "unblock",
                1_790_000_000,
                "pupil",
                domain,
                category,
                "",
                "open",
                0,
                "",
                "",
                0,
            )
            connection.execute(insert, row)
        connection.commit()
    shown = typed("review", "list") + typed("review", "list", "--json")
    assert "nasa.example" in shown
    assert "evil.example" not in shown
    answer = ("--school", "s-1", "--by", "Aliya", "--reason", "a learning site")
    typed("review", "grant", "1", "--overblock", *answer)
    typed("review", "refuse", "2", *answer)
    assert "was granted by Aliya" in typed("review", "grant", "1", *answer, fails=True)
    assert [row["overblock"] for row in typed.rows("review", "list", "--only", "granted")] == [True]
    missing = ("case", "export", "1", "--school", "s-1", "--by", "Aliya", "--purpose", "council")
    assert "no card 1" in typed(*missing, fails=True)
    assert "monitor.webhook" in typed("case", "notify", "--school", "s-1", fails=True)


def test_the_audit_log_is_verified(typed: Typed, tmp_path: Path) -> None:
    for number in range(3):
        typed("fact", "set", "--region", "--month", "2026-10", "specialists_total", str(number))
    heads = tmp_path / "heads"
    heads.write_text(typed("audit", "heads"))
    assert "whole" in typed("audit", "verify")
    assert "whole" in typed("audit", "verify", "--heads", str(heads))
    with closing(sqlite3.connect(typed.state / "monitor.sqlite")) as connection:
        connection.execute("UPDATE audit SET who = 'Nobody' WHERE number = 2")
        connection.commit()
    assert typed("audit", "verify", fails=True) == "the region: row 2 was altered\n"
    heads.write_text("not heads")
    assert "heads:1" in typed("audit", "verify", "--heads", str(heads), fails=True)


def test_a_database_of_another_user_is_left_alone(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    typed("box", "list")
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    assert "sudo -u" in typed("box", "list", fails=True)


def test_errors_are_one_line_each(typed: Typed) -> None:
    for words in (("box", "add", "A B", "--school", "s"), ("school", "import", "/nowhere.csv")):
        assert typed(*words, fails=True).count("\n") == 1


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("webhook: {url: 'https://safe.example/', secret_file: none}", "cannot read the webhook's secret"),
        ("webhook: {url: 'https://safe.example/', secret_file: short}", "shorter than 16"),
        ("tls: {listen: ['127.0.0.1:8443'], certificate: none, key: none}", "cannot read"),
        ("tls: {listen: ['127.0.0.1:8443'], certificate: short, key: short}", "no certificate"),
    ],
)
def test_check_looks_at_the_files_of_the_endpoint(tmp_path: Path, part: str, message: str) -> None:
    (tmp_path / "short").write_text("short")
    (tmp_path / "filterd.yaml").write_text(f"monitor: {{{part}}}\n")
    done = CliRunner().invoke(root, ["check", str(tmp_path / "filterd.yaml")], catch_exceptions=False)
    assert done.exit_code == 1
    assert message in done.output
    assert done.output.count("\n") == 1
