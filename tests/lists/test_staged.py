"""A staged activation with a real compilation: gate, switch, watch, keep or go back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from filterd.lists import activate, history
from filterd.lists.papers import Papers
from filterd.lists.staged import (
    Patience,
    Refusals,
    Stage,
    roll_back_by_hand,
    stage,
    switch_by_hand,
    watch,
)
from filterd.lists.worker import Job, build

CATEGORIES = """\
format: 1
categories:
  gambling:
    bit: 3
    severity: welfare
    tiers: {primary: B, middle: B, senior: B, staff: B, guest: B}
    names: {kk: "Құмар ойын", ru: "Азартные игры", en: "Gambling"}
    sources: []
"""
CATALOGUE = """\
sources:
  - {id: one, title: One, path: one.txt, format: domains, category: gambling, origin: local, licence: CC0-1.0}
"""


class Filter:
    """A running filter as its health reports show it; time passes when somebody sleeps.

    Args:
        folder: the versions; it serves the current one.
        share: of lookups blocked, per version number.
    """

    def __init__(self, folder: Path, share: dict[int, float], rate: int = 100) -> None:
        self.folder = folder
        self.share = share
        self.rate = rate
        self.now = 0.0
        self.lookups = self.blocked = self.refused = 0
        self.runs = True
        self.takes = True
        self.serving = ""
        self.slept = 0

    def pass_time(self, seconds: float) -> None:
        self.slept += 1
        self.now += seconds
        if self.takes:
            self.serving = activate.current_version(self.folder) or ""
        count = int(self.rate * seconds)
        self.lookups += count
        self.blocked += int(count * self.share.get(int(self.serving.partition("-")[0] or 0), 0.1))

    def look(self) -> Refusals | None:
        if not self.runs:
            return None
        return Refusals(self.lookups, self.blocked, self.refused, frozenset({self.serving}))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "categories.yaml").write_text(CATEGORIES)
    (tmp_path / "sources.yaml").write_text(CATALOGUE)
    (tmp_path / "one.txt").write_text("a.example\n")
    papers = Papers(tmp_path / "sources.yaml", tmp_path / "categories.yaml", tmp_path / "fetched")
    return Job(papers, tmp_path / "lists")


@pytest.fixture
def filterd(job: Job) -> Filter:
    return Filter(job.folder, {1: 0.12})


@pytest.fixture
def staged(job: Job, filterd: Filter):
    """Return a function: new content of the list, what the gate says -> what came of it."""

    def run(content: str, problems: tuple[str, ...] = (), **patience):
        (job.papers.catalogue.parent / "one.txt").write_text(content)
        found = stage(
            Stage(
                job,
                lambda _path: problems,
                filterd.look,
                Patience(**patience),
                clock=lambda: 1_800_000_000 + filterd.now,
                timer=lambda: filterd.now,
                sleep=filterd.pass_time,
                compile=build,
            )
        )
        return found.result, found.version[:6], found.why

    return run


def actions(job: Job) -> list[str]:
    return [f"{one.action} {one.version[:6]}" for one in history.read(job.folder)]


def test_the_first_index_is_put_in_use_and_the_same_lists_make_no_other(staged, job):
    assert staged("a.example\n") == ("activated", "000001", "the first index")
    assert staged("a.example\n") == ("unchanged", "000001", "")
    assert actions(job) == ["activated 000001"]


def test_an_index_is_kept_when_as_much_is_blocked_as_before(staged, job, filterd):
    staged("a.example\n")
    filterd.pass_time(100)
    assert staged("b.example\n") == ("kept", "000002", "")
    assert filterd.now >= 700, "ten minutes at least"
    assert actions(job) == ["activated 000001", "activated 000002", "kept 000002"]


def test_an_index_that_blocks_too_much_is_taken_back_at_once(staged, job, filterd):
    staged("a.example\n")
    filterd.pass_time(100)
    before = filterd.now
    filterd.share[2] = 0.5
    result, version, why = staged("b.example\n")
    assert (result, version) == ("rolled-back", "000002")
    assert why.endswith("lookups were blocked, 12% before")
    assert filterd.now - before < 60, "not after ten minutes of a broken school"
    assert (activate.current_version(job.folder) or "")[:6] == "000001"
    assert actions(job)[-1] == "rolled-back 000002"
    assert staged("b.example\n")[0] == "held", "and does not come back by itself"
    filterd.share[3] = 0.12
    assert staged("c.example\n")[:2] == ("kept", "000003")


@pytest.mark.parametrize(("before", "after", "result"), [
    (0.12, 0.26, "kept"), (0.12, 0.28, "rolled-back"), (0.40, 0.60, "kept"), (0.02, 0.16, "kept"),
    (0.02, 0.18, "rolled-back"), (0.30, 0.05, "kept"),
])  # fmt: skip
def test_what_is_too_much(staged, filterd, before, after, result):
    filterd.share = {1: before, 2: after}
    staged("a.example\n")
    filterd.pass_time(100)
    assert staged("b.example\n")[0] == result


def test_without_lookups_before_only_an_enormous_share_counts(staged, filterd):
    filterd.share = {1: 0.0, 2: 0.55, 3: 0.7}
    staged("a.example\n")
    assert staged("b.example\n")[0] == "kept"
    filterd.lookups = filterd.blocked = 0
    assert staged("c.example\n")[0] == "rolled-back"


def test_at_night_it_waits_for_lookups_and_gives_up_in_the_end(staged, filterd):
    filterd.rate = 0
    staged("a.example\n")
    assert staged("b.example\n", most=3600.0)[0] == "kept"
    assert 3600 <= filterd.now < 3700


def test_a_process_that_does_not_take_the_index(staged, filterd):
    staged("a.example\n")
    filterd.pass_time(100)
    filterd.takes = False
    assert staged("b.example\n") == (
        "rolled-back", "000002", "not every DNS process took the index within 60 s",
    )  # fmt: skip


def test_a_process_that_cannot_open_the_index(job, filterd):
    before = Refusals(1000, 100, 0, frozenset())
    filterd.refused = 1
    one = Stage(job, lambda _p: (), filterd.look, timer=lambda: filterd.now, sleep=filterd.pass_time)
    assert watch(one, before, "000002-x") == "a DNS process could not open the index"


def test_a_process_that_starts_anew_counts_from_its_start():
    assert Refusals(50, 5, 0, frozenset()).since(Refusals(1000, 100, 0, frozenset())).lookups == 50


def test_nobody_watches_where_no_filter_runs_or_nobody_asked(staged, filterd):
    staged("a.example\n")
    assert staged("b.example\n", seconds=0.0)[0] == "activated"
    assert filterd.slept == 0
    filterd.runs = False
    assert staged("c.example\n")[0] == "activated"


def test_a_filter_that_is_stopped_meanwhile_ends_the_watch(staged, filterd):
    staged("a.example\n")
    filterd.pass_time(100)
    sleep = filterd.pass_time

    def stop(seconds: float) -> None:
        filterd.runs = False
        sleep(seconds)

    filterd.pass_time = stop
    assert staged("b.example\n")[0] == "kept"


def test_a_switch_by_hand_meanwhile_is_left_alone(staged, job, filterd):
    staged("a.example\n")
    filterd.pass_time(100)
    first = activate.current_version(job.folder) or ""
    sleep = filterd.pass_time

    def interfere(seconds: float) -> None:
        sleep(seconds)
        switch_by_hand(job.folder, first, by="admin", why="", now=0)

    filterd.pass_time = interfere
    filterd.share[2] = 0.9
    result, _, why = staged("b.example\n")
    assert (result, why) == ("activated", "somebody else switched meanwhile")
    assert activate.current_version(job.folder) == first


def test_what_the_gate_refuses_is_never_in_use_and_leaves_nothing(staged, job):
    staged("a.example\n")
    assert staged("b.example\n", ("lost the canary",)) == (
        "refused",
        "",
        "lost the canary",
    )
    assert [one[:6] for one in activate.versions(job.folder)] == ["000001"]
    assert actions(job)[-1] == "refused 000002"
    assert staged("b.example\n")[0] == "held"


def test_going_back_by_hand_holds_updates_until_a_person_ends_it(staged, job, filterd):
    staged("a.example\n")
    staged("b.example\n", seconds=0.0)
    now = 1_800_000_000 + filterd.now
    used, older = roll_back_by_hand(job.folder, by="Асель", why="exams", now=now, hold=3 * 86_400)
    assert (used[:6], older[:6]) == ("000002", "000001")
    assert staged("c.example\n") == ("held", "", "Асель rolled back (exams) and holds updates")
    filterd.now += 3 * 86_400
    assert staged("b.example\n")[0] == "held", "the content that was taken back stays away for ever"
    assert staged("c.example\n", seconds=0.0)[0] == "activated"


def test_activating_by_hand_ends_the_hold(staged, job, filterd):
    staged("a.example\n")
    staged("b.example\n", seconds=0.0)
    now = 1_800_000_000 + filterd.now
    used, _ = roll_back_by_hand(job.folder, by="admin", why="", now=now, hold=3 * 86_400)
    switch_by_hand(job.folder, used, by="admin", why="it was something else", now=now)
    assert staged("b.example\n") == ("unchanged", "000002", "")
    assert staged("c.example\n", seconds=0.0)[0] == "activated"


def test_a_start_does_not_bring_back_what_was_rolled_back(staged, job, filterd):
    staged("a.example\n")
    staged("b.example\n", seconds=0.0)
    roll_back_by_hand(job.folder, by="admin", why="", now=1_800_000_000, hold=0)
    assert build(replace(job, only_if_changed=True)) is None
    assert (activate.current_version(job.folder) or "")[:6] == "000001"
