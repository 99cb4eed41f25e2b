"""The commands of ``filterd policy`` on files, without a running filter."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from filterd.rules.schemas import MODELS, schema

ROOT = Path(__file__).resolve().parents[2]
BELLS = {"timetable": {"bells": {"a": [{"days": ["mon"], "lessons": ["08:00-08:45"]}]}}}


@pytest.fixture
def compiled(papers):
    papers.filterd("lists", "compile")
    return papers


def test_r9_show_prints_each_line_with_its_layer_and_place(papers):
    papers.write(school=BELLS)
    said = papers.filterd("policy", "show", "--group", "pupils", "--at", "2026-09-14 08:10")
    lines = {tuple(line.split()[:2]): line for line in said.splitlines() if line}
    assert "2026-09-14 08:10:00 Asia/Almaty, lessons" in lines["group", "time"]
    assert "2026-09-14 08:45:00" in lines["group", "until"]
    assert "timed: blocked now  [baseline " in lines["category", "video"]
    assert "baseline.yaml:" in lines["category", "video"]
    assert "blocked, locked  [catalogue " in lines["category", "malware"]
    assert "allowed, locked  [baseline " in lines["name", "egov.kz"]
    later = papers.filterd("policy", "show", "--group", "pupils", "--at", "2026-09-14 08:45", "--json")
    values = [json.loads(line) for line in later.splitlines()]
    video = next(one for one in values if one["subject"] == "video")
    assert (video["says"], video["group"]) == ("timed: open now", "pupils")
    every = papers.filterd("policy", "show", "--json")
    assert {json.loads(line)["group"] for line in every.splitlines()} == {"pupils", "teachers"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "--group", "pupil"), "did you mean 'pupils'"),
        (("show", "--at", "someday"), "--at: 'someday' is not a date"),
        (("diff", "none.yaml", "configured"), "is no file and names 0 kept versions"),
        (("diff", "in-force", "configured"), "no policy is in force here yet"),
        (("test",), "run `filterd lists compile`"),
        (("override", "list"), "no override holds"),
        (("override", "end", "1"), "no filter answers"),
        (("override", "add", "allow", "games", "--until", "1h"), "no filter answers"),
        (("undo",), "no filter answers"),
        (("log", "--verify"), "the log is whole"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(papers, words, said):
    text = papers.filterd("policy", *words, status=None)
    assert said in text


def test_explain_for_a_group_and_a_time(compiled):
    compiled.write(school=BELLS)
    words = ("explain", "video.example", "--group", "pupils", "--at")
    lesson = compiled.filterd(*words, "2026-09-14 08:10")
    assert "Mon 2026-09-14 08:10:00, phase lessons, until Mon 2026-09-14 08:45:00" in lesson
    assert "verdict   block (category), category video" in lesson
    assert "verdict   allow" in compiled.filterd(*words, "2026-09-14 08:45")
    assert "verdict   allow" in compiled.filterd("explain", "video.example", "--client", "127.0.0.9")
    assert "no group 'x'" in compiled.filterd("explain", "a.kz", "--group", "x", status=1)


def test_tests_beside_the_policy(compiled):
    compiled.write(school=BELLS)
    compiled.text(
        "school.tests.yaml",
        """\
format: 1
week: 2026-09-14
tests:
  - {group: pupils, names: [lesson.example], at: mon 08:10, expect: allow}
  - {group: pupils, names: [video.example], at: mon 08:10, expect: block, category: video}
  - {group: pupils, names: [video.example], at: mon 08:50, expect: allow}
""",
    )
    assert "3 passed, 0 failed" in compiled.filterd("policy", "test")
    compiled.write()  # no bells any more
    said = compiled.filterd("policy", "test", status=1)
    assert "FAILED " in said
    assert "school.tests.yaml:6:29: pupils, video.example, mon 08:50 -> allow" in said
    assert "got block (category), category video" in said
    assert "2 passed, 1 failed" in said


def test_the_examples_tests_pass(tmp_path, papers):
    config = tmp_path / "filterd.yaml"
    config.write_text("state: state\n")
    papers.filterd("lists", "compile")
    assert " 0 failed" in papers.filterd("policy", "test")


def test_the_regions_example_fits_the_schools(papers):
    folder = ROOT / "policies"
    papers.config_file.write_text(
        f"state: state\npolicy: {{region: {folder / 'regions' / 'example.yaml'}}}\n"
    )
    said = papers.filterd("policy", "show", "--group", "grades-5-9", "--at", "2026-12-16 10:00")
    assert "Asia/Almaty" in said


def test_every_commented_line_of_the_examples_is_right(papers):
    """What a comment of the example shows can be taken over as it stands."""
    text = (ROOT / "policies" / "schools" / "example.yaml").read_text("utf-8")
    kept, on = [], False
    for line in text.splitlines():
        if line.startswith(("# timetable:", "# schedule:")):
            on = True
        elif not line.startswith("# "):
            on = False
        kept.append(line.removeprefix("# ") if on else line)
    opened = "\n".join(kept).replace("    # bells: first-shift", "    bells: first-shift")
    papers.text("example.yaml", opened)
    calendar = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nEND:VCALENDAR\r\n"
    for name in ("holidays.ics", "exams.ics"):
        papers.text(name, calendar)
    papers.config_file.write_text("state: state\npolicy: {school: example.yaml}\n")
    said = papers.filterd("policy", "show", "--group", "grades-1-4", "--at", "2026-09-14 08:10")
    assert "lessons" in said
    assert "timetable" in opened
    night = papers.filterd("policy", "show", "--group", "grades-1-4", "--at", "2026-09-14 23:00")
    assert "Quiet at night" in night
    exam = papers.filterd("policy", "show", "--group", "grades-1-4", "--at", "2027-05-28 09:00")
    assert "only what is opened" in exam


def test_diff_and_simulate_before_a_policy_is_put_in_force(compiled):
    new = compiled.text(
        "new.yaml",
        (compiled.folder / "school.yaml").read_text("utf-8")
        + "categories: {allow: [games]}\nnames: {block: [{name: plain.example, reason: r}]}\n",
    )
    said = compiled.filterd("policy", "diff", "configured", str(new))
    assert "pupils: category games: blocked becomes allowed" in said
    assert "all groups: a layer blocks plain.example now" in said
    assert "nothing changes" in compiled.filterd("policy", "diff", "configured", "configured")
    queries = compiled.text(
        "queries.txt",
        "# recorded on Monday\ngames.example 40\n7 www.games.example.\nplain.example\nplain.example\twhere\n"
        "other.example, 3\nnot a name..x\n\n..\nПРИМЕР.kz\n",
    )
    words = ("policy", "simulate", str(new), "--queries", str(queries))
    assert "6 names, 54 lookups, 1 lines without a name" in compiled.filterd(*words)
    table = [
        json.loads(line) for line in compiled.filterd(*words, "--group", "pupils", "--json").splitlines()
    ]
    assert table == [
        {"group": "pupils", "kind": "allowed", "category": "games", "names": 2, "lookups": 47,
         "most": [["games.example", 40], ["www.games.example", 7]]},
        {"group": "pupils", "kind": "blocked", "category": "name_rule", "names": 1, "lookups": 2,
         "most": [["plain.example", 2]]},
    ]  # fmt: skip
    assert not (compiled.state / "policies" / "current").exists(), "nothing was put in force"


def test_the_schemas_beside_the_policies_are_current():
    for name in MODELS:
        written = json.loads((ROOT / "policies" / "schema" / f"{name}.json").read_text("utf-8"))
        assert written == schema(name), "run `filterd policy schema --write policies/schema`"


def test_editors_find_the_schema_of_each_example():
    for path in (ROOT / "policies").rglob("*.yaml"):
        first = path.read_text("utf-8").splitlines()[0]
        assert first.startswith("# yaml-language-server: $schema="), path
        assert (path.parent / first.partition("=")[2]).is_file(), path


def test_simulate_wants_one_source_of_lookups(compiled):
    said = compiled.filterd("policy", "simulate", "configured", status=2)
    assert "give one of --queries FILE and --recorded DAYS" in said
    said = compiled.filterd("policy", "simulate", "configured", "--recorded", "7", status=1)
    assert "nothing was recorded here" in said
    assert "--state" in said


@pytest.mark.realdata
def test_simulate_replays_real_lookups(compiled, realdata):
    new = compiled.text(
        "new.yaml",
        (compiled.folder / "school.yaml").read_text("utf-8")
        + "names: {block: [{name: ebaystatic.com, reason: r}, {name: mediafire.com, reason: r}]}\n",
    )
    said = compiled.filterd(
        "policy", "simulate", str(new), "--queries", str(realdata / "queries" / "knot-bench_lru_set1.tsv"),
        "--group", "pupils",
    )  # fmt: skip
    assert "mediafire.com" in said
    assert "newly blocked" in said


def test_what_the_document_shows_is_taken_as_it_stands(papers):
    text = (ROOT / "docs" / "policy.md").read_text("utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    shown = {key: block for block in blocks for key in yaml.safe_load(block)}
    assert set(shown) == {"policy", "timetable", "schedule"}
    school = (papers.folder / "school.yaml").read_text("utf-8") + shown["timetable"] + shown["schedule"]
    papers.text("school.yaml", school)
    papers.text("holidays.ics", "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nEND:VCALENDAR\r\n")
    said = papers.filterd("policy", "show", "--group", "pupils", "--at", "2026-09-15 23:00")
    assert "Quiet at night" in said
