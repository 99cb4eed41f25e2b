"""Changes of the policy in force, without a process: what is kept, logged, refused, undone."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from filterd.app import policyfiles
from filterd.app.policydesk import PolicyDesk
from filterd.app.policyfiles import KEPT, draft, in_force, policy_now, version_in_force, versions
from filterd.app.policylog import Asked, PolicyLog
from filterd.app.policyoverrides import OverrideStore
from filterd.errors import FilterdError, PolicyError, StartError

WHO = Asked("Aigul", "root", "because")
NOW = 1_789_362_000.0  # Mon 2026-09-14 10:00 in Almaty
BLOCK = {"names": {"block": [{"name": "plain.example", "reason": "r"}]}}


@pytest.fixture
def desk(papers):
    papers.config().state.make()
    made = PolicyDesk(papers.config().state, clock=lambda: NOW)
    made.start(papers.config(), Asked("system"))
    return made


def log_of(papers):
    return list(PolicyLog(papers.config().state.policy_log).newest())


def rules(policy):
    return {rule.text for rule in policy.view("pupils").names.all}


def test_r6_each_activation_is_logged_with_who_when_why_old_and_new(papers, desk):
    first = desk.policy.version
    papers.write(school=BLOCK)
    second = desk.reload(papers.config(), WHO).version
    assert desk.reload(papers.config(), WHO).version == second, "nothing new: no line"
    changes = log_of(papers)
    assert [(one.what, one.old, one.new) for one in changes] == [
        ("reload", first, second), ("start", "", first),
    ]  # fmt: skip
    newest = changes[0]
    assert (newest.who, newest.user, newest.why) == ("Aigul", "root", "because")
    assert newest.at == "2026-09-14T05:00:00+00:00"
    for version in (first, second):
        kept = papers.config().state.policies / version
        assert "school" in (kept / "school.yaml").read_text("utf-8"), "the full text of each version is kept"


def test_what_is_in_force_is_what_was_verified_whatever_happens_to_the_files(papers, desk):
    config, version = papers.config(), desk.policy.version
    (papers.folder / "school.yaml").unlink()
    (papers.folder / "baseline.yaml").write_text("broken: [")
    assert in_force(config.state.policies).version == version
    place = in_force(config.state.policies).view("pupils").names.all[0].place
    assert place.startswith(str(papers.folder / "baseline.yaml:")), "places name the file that people edit"


def test_region_and_calendars_are_kept_too(papers):
    papers.text(
        "region.yaml",
        "format: 1\nregion: almaty\ntitle: {kk: a, ru: a, en: a}\n"
        "timetable: {calendars: [{file: days/off.ics, as: holidays}]}\n",
    )
    (papers.folder / "days").mkdir()
    calendar = papers.text(
        "days/off.ics",
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\n"
        "DTSTART;VALUE=DATE:20260914\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
    )
    papers.config_more = {
        "policy": {"baseline": "baseline.yaml", "school": "school.yaml", "region": "region.yaml"}
    }
    papers.write(school={"timetable": {"bells": {"a": [{"days": ["mon"], "lessons": ["09:00-11:00"]}]}}})
    config = papers.config()
    config.state.make()
    made = PolicyDesk(config.state, clock=lambda: NOW).start(config, WHO)
    calendar.unlink()
    (papers.folder / "region.yaml").unlink()
    again = in_force(config.state.policies)
    assert again.version == made.version
    assert again.region == "almaty"
    week = 7 * 86_400
    for policy in (made, again):
        bit = 1 << policy.categories.by_id["video"].bit
        assert not policy.view("pupils", NOW).blocked & bit, "a holiday of the calendar"
        assert policy.view("pupils", NOW + week).blocked & bit


def test_a_wrong_policy_is_refused_and_nothing_of_it_stays(papers, desk):
    config, before = papers.config(), desk.policy.version
    papers.write(school={**BLOCK, "categories": {"allow": ["malware"]}})
    with pytest.raises(PolicyError, match="'malware' is locked at"):
        desk.reload(papers.config(), WHO)
    assert version_in_force(config.state.policies) == before
    assert versions(config.state.policies) == [before]
    assert "malware" in desk.refused
    assert len(log_of(papers)) == 1
    papers.write()
    desk.reload(papers.config(), WHO)
    assert desk.refused == ""


def test_r6_what_cannot_be_logged_is_not_done(papers, desk):
    config, before = papers.config(), desk.policy.version
    path = config.state.policy_log
    path.rename(path.with_suffix(".away"))
    path.mkdir()
    papers.write(school=BLOCK)
    with pytest.raises(StartError, match="cannot write the change log"):
        desk.reload(papers.config(), WHO)
    assert version_in_force(config.state.policies) == before
    with pytest.raises(StartError, match="cannot write the change log"):
        desk.add_override({"allow": True, "kind": "category", "value": "games", "until": "1h"}, WHO)
    assert desk.overrides() == []


def test_undo_goes_back_and_forth_and_to_a_version(papers, desk):
    versions_ = [desk.policy.version]
    for number in range(3):
        papers.write(school={"names": {"block": [{"name": f"n{number}.example", "reason": "r"}]}})
        versions_.append(desk.reload(papers.config(), WHO).version)
    assert desk.undo(WHO).version == versions_[2]
    assert desk.undo(WHO).version == versions_[3]
    assert desk.undo(WHO, versions_[0][:6]).version == versions_[0]
    with pytest.raises(PolicyError, match="in force already"):
        desk.undo(WHO, versions_[0])
    with pytest.raises(PolicyError, match="names 0 kept versions"):
        desk.undo(WHO, "zz")
    assert [one.what for one in log_of(papers)][:3] == ["undo", "undo", "undo"]
    assert PolicyLog(papers.config().state.policy_log).faults() == []


def test_nothing_to_undo(desk):
    with pytest.raises(PolicyError, match="no version before"):
        desk.undo(WHO)


def test_what_was_undone_stays_undone_through_a_start_until_a_reload_or_another_file(papers, desk):
    first = desk.policy.version
    papers.write(school=BLOCK)
    undone = desk.reload(papers.config(), WHO).version
    desk.undo(WHO)
    again = PolicyDesk(papers.config().state, clock=lambda: NOW)
    assert again.start(papers.config(), WHO).version == first
    assert undone in again.refused
    papers.write(school={"rebinding_allow": ["a.example"]})
    third = PolicyDesk(papers.config().state).start(papers.config(), WHO)
    assert third.version not in (first, undone)


def test_a_start_with_a_broken_policy_serves_the_last_one_and_without_one_fails(papers, desk):
    (papers.folder / "school.yaml").write_text("format: 2\n")
    again = PolicyDesk(papers.config().state)
    assert again.start(papers.config(), WHO).version == desk.policy.version
    assert "school.yaml:1" in again.refused
    other = replace(papers.config().state, root=papers.folder / "fresh")
    other.make()
    with pytest.raises(PolicyError, match=r"school\.yaml:1"):
        PolicyDesk(other).start(papers.config(), WHO)


def test_old_versions_are_forgotten_but_never_the_one_in_force(papers, desk):
    first = desk.policy.version
    folder = papers.config().state.policies
    for number in range(KEPT + 5):
        papers.write(school={"rebinding_allow": [f"n{number}.example"]})
        desk.reload(papers.config(), WHO)
    assert len(versions(folder)) == KEPT
    assert not (folder / first).exists()
    assert version_in_force(folder) == versions(folder)[0]
    with pytest.raises(PolicyError, match="names 0 kept"):
        desk.undo(WHO, first)


def test_a_damaged_copy_is_noticed_and_written_anew(papers, desk):
    config = papers.config()
    copy = config.state.policies / desk.policy.version / "school.yaml"
    copy.write_text(copy.read_text("utf-8").replace("pupils", "pupilz"), "utf-8")
    with pytest.raises(PolicyError, match="was changed"):
        in_force(config.state.policies)
    desk.reload(config, WHO)
    assert in_force(config.state.policies).version == desk.policy.version


def test_a_crash_before_the_switch_leaves_the_old_policy(papers, desk, monkeypatch):
    config, before = papers.config(), desk.policy.version
    papers.write(school=BLOCK)

    def crash(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(policyfiles, "_sync", crash)
    with pytest.raises(KeyboardInterrupt):
        desk.reload(papers.config(), WHO)
    monkeypatch.undo()
    assert in_force(config.state.policies).version == before
    desk.reload(papers.config(), WHO)
    assert "block plain.example (subtree)" in rules(in_force(config.state.policies))
    assert not list(config.state.policies.glob(".new-*"))


GAMES = {"allow": True, "kind": "category", "value": "games", "group": "pupils", "until": "45m"}


def test_r25_an_override_needs_a_reason_and_is_audited(papers, desk):
    with pytest.raises(PolicyError, match="needs a reason"):
        desk.add_override(GAMES, Asked("Aigul", "root", " "))
    made = desk.add_override(GAMES, WHO)
    change = log_of(papers)[0]
    assert (change.what, change.who, change.why) == ("override_add", "Aigul", "because")
    assert change.more["value"] == "games"
    assert made.until == NOW + 45 * 60
    assert (
        policy_now(papers.config(), at=NOW).view("pupils", NOW).blocked
        != desk.policy.view("pupils", NOW).blocked
    )
    with pytest.raises(PolicyError, match="says that or its opposite already"):
        desk.add_override({**GAMES, "allow": False}, WHO)
    desk.end_override(made.id, WHO)
    assert desk.overrides() == []
    with pytest.raises(PolicyError, match="no override"):
        desk.end_override(made.id, WHO)
    assert desk.add_override(GAMES, WHO).id > made.id, "a number is never used twice"


@pytest.mark.parametrize(
    ("until", "seconds"),
    [
        ("45m", 2700),
        ("2h", 7200),
        ("3d", 259_200),
        ("11:40", 6000),
        ("09:00", 82_800),
        ("2026-09-14 12:00", 7200),
    ],
)
def test_r4_until_when(desk, until, seconds):
    assert desk.add_override({**GAMES, "until": until}, WHO).until == NOW + seconds


@pytest.mark.parametrize("until", ["", "soon", "0m", "2026-09-14 09:00", "200d", "25:00", "99999d"])
def test_an_end_that_is_none(desk, until):
    with pytest.raises(PolicyError):
        desk.add_override({**GAMES, "until": until}, WHO)


def test_overrides_that_ended_are_forgotten_and_a_damaged_file_is_an_empty_one(papers, desk):
    desk.add_override({**GAMES, "until": "5m"}, WHO)
    later = PolicyDesk(papers.config().state, clock=lambda: NOW + 301)
    later.start(papers.config(), WHO)
    assert later.overrides() == []
    later.add_override({**GAMES, "value": "social"}, WHO)
    path = papers.config().state.overrides
    assert len(json.loads(path.read_text())["overrides"]) == 1
    path.write_text('{"overrides": [{"id":')
    assert OverrideStore(path).active(NOW) == []


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"kind": "x"},
        {**GAMES, "kind": "name", "value": ""},
        {**GAMES, "group": 7},
        {**GAMES, "until": None},
        {**GAMES, "value": ["games"]},
    ],
)
def test_nonsense_over_the_socket_is_refused_in_words(desk, given):
    with pytest.raises(FilterdError):
        desk.add_override(given, WHO)


def test_draft_with_another_layer(papers):
    other = papers.text("other.yaml", (papers.folder / "school.yaml").read_text().replace("s1", "s2"))
    assert draft(papers.config(), school=other).policy.school == "s2"
