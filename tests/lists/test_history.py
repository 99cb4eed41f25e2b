"""The history of activations, and what follows from it for an update by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from filterd.lists import history
from filterd.lists.history import Event, read, standing, write


def event(action: str, version: str = "000002-bbbbbbbb", *, by: str = history.MACHINE, **more) -> Event:
    return Event(100, action, version, "000001-aaaaaaaa", by, more.pop("why", "too much"), **more)


def test_events_are_kept_in_order_and_survive_damage(tmp_path: Path):
    write(tmp_path, event("activated"))
    with (tmp_path / history.HISTORY).open("ab") as file:
        file.write(b"{half a line\n")
    write(tmp_path, event("rolled-back", by="Асель"))
    assert [(one.action, one.by) for one in read(tmp_path)] == [
        ("activated", "filterd"),
        ("rolled-back", "Асель"),
    ]


def test_before_the_first_event(tmp_path: Path):
    assert read(tmp_path / "nowhere") == ()
    assert standing(()).objection("bbbbbbbb", 0) == ""


def test_the_history_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(history, "KEPT", 10)
    for number in range(25):
        write(tmp_path, event("activated", f"{number:06d}-bbbbbbbb"))
    assert [one.version[:6] for one in read(tmp_path)] == [f"{number:06d}" for number in range(15, 25)]


@pytest.mark.parametrize("action", ["refused", "rolled-back"])
def test_content_that_was_refused_does_not_come_back_under_another_number(action):
    found = standing([event("activated"), event(action)])
    assert found.objection("bbbbbbbb", 200) == f"{action} by filterd: too much"
    assert found.objection("cccccccc", 200) == ""


def test_a_person_who_activates_it_ends_the_bar():
    found = standing([event("rolled-back"), event("activated", "000009-bbbbbbbb", by="admin")])
    assert found.objection("bbbbbbbb", 200) == ""


def test_a_person_s_roll_back_holds_every_update_for_its_time():
    events = [event("activated"), event("rolled-back", by="admin", why="exams", hold_until=1000)]
    assert standing(events).objection("cccccccc", 999) == "admin rolled back (exams) and holds updates"
    assert standing(events).objection("cccccccc", 1000) == ""
    assert "rolled-back by admin" in standing(events).objection("bbbbbbbb", 1000)
    by_itself = event("activated", "000003-cccccccc")
    assert standing([*events, by_itself]).objection("dddddddd", 999), "only a person ends a hold"
    by_hand = event("activated", "000001-aaaaaaaa", by="admin")
    assert standing([*events, by_hand]).objection("dddddddd", 999) == ""


def test_accepting_and_keeping_change_nothing():
    assert standing([event("accepted", by="admin"), event("kept")]).barred == {}
