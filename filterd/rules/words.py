"""Times, lines of a schedule and states of a policy said in plain words, for people who read a change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo

from filterd.rules.plan import Step
from filterd.rules.schedule import Condition
from filterd.rules.timetable import DAY, DAYS, Ranges, Timetable, Window, clock, date_of
from filterd.rules.view import NameRule
from filterd.wire import names

STATES = {"X": "blocked and locked", "B": "blocked", "T": "blocked in lessons", "A": "allowed"}


def moment(at: float, zone: tzinfo) -> str:
    """Return an instant as people read it, in a zone."""
    return datetime.fromtimestamp(at, zone).strftime("%a %Y-%m-%d %H:%M:%S")


def when(condition: Condition) -> str:
    """Return when a line of a schedule holds."""
    parts = [f"during {_list(phase.value for phase in condition.during)}"] if condition.during else []
    parts += [f"on {_list(DAYS[day] for day in sorted(condition.days))}"] if condition.days else []
    parts += [f"at {_hours(condition.hours)}"] if condition.hours else []
    parts += [f"from {_edge(condition.since)}"] if condition.since is not None else []
    parts += [f"until {_edge(condition.until)}"] if condition.until is not None else []
    parts += ["while an event of its calendar is on"] if condition.events is not None else []
    return ", ".join(parts)


def what(step: Step) -> str:
    """Return what a part of a layer adds."""
    parts = ["only what is opened is allowed"] if step.exam else []
    for state, word in (("B", "blocks"), ("T", "times"), ("A", "allows")):
        ids = [one for one, standing in step.standings.items() if standing.state == state]
        parts += [f"{word} {_list(ids)}"] if ids else []
    parts += [f"safe search {engine} {level.level}" for engine, level in step.levels.items()]
    parts += list(dict.fromkeys(rule_words(rule) for rule in step.names))
    return "; ".join(parts) or "changes nothing"


def rule_words(rule: NameRule) -> str:
    """Return a name rule, or the service it belongs to."""
    word = "allows" if rule.allow else "blocks"
    if rule.service:
        return f"{word} service {rule.service}"
    scope = rule.text.rpartition(" (")[2].rstrip(")")
    return f"{word} {names.to_unicode(rule.name)}" + ("" if scope == "subtree" else f" ({scope})")


def table(timetable: Timetable | None) -> Iterator[tuple[str, str]]:
    """Return the parts of a timetable, each with what it says."""
    if timetable is None:
        return
    for day, name in enumerate(DAYS):
        yield f"lessons on {name}", _hours(timetable.week.get(day, ())) or "none"
    for number, lessons in sorted(timetable.special.items()):
        yield f"lessons on {date_of(number)}", _hours(lessons) or "none"
    yield "terms", _dates(timetable.terms) or "all days"
    yield "holidays", _dates(timetable.holidays) or "none"


def _hours(windows: Iterable[Window]) -> str:
    return " ".join(window.text for window in windows)


def _dates(ranges: Ranges) -> str:
    return ", ".join(
        str(date_of(first)) if behind - first == 1 else f"{date_of(first)} to {date_of(behind - 1)}"
        for first, behind in ranges.pairs()
    )


def _edge(second: int) -> str:
    return f"{date_of(second // DAY)} {clock(second % DAY)}"


def _list(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))
