"""``filterd lists report`` and ``filterd lists exceptions``: lists, policy and real blocks put together.

Reads only. Where blocks come from the endpoint's store, it is read as a file, so that the report works while
nothing runs.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from filterd.app.listsupdate import guarded_here, index_in_use
from filterd.app.policyfiles import policy_to_ask
from filterd.config.load import Config
from filterd.errors import ListError
from filterd.lists import activate
from filterd.lists.catalogue import load_catalogue
from filterd.lists.exceptions import ALLOWED, ReviewedName
from filterd.lists.gathering import exceptions_of
from filterd.lists.hygiene import Surprise, Worth, surprises, worths
from filterd.lists.report import CompileReport, read_report
from filterd.lists.showing import show
from filterd.rules.categories import Categories, load_categories
from filterd.rules.decide import permit
from filterd.rules.index import Index
from filterd.rules.verdict import Action


@dataclass(frozen=True, slots=True)
class Report:
    """The hygiene report.

    Attributes:
        version: of the index it is about.
        worths: what each list is worth.
        covered: names that a list says twice, itself, by list id.
        rejected: lines that gave no rule, by list id.
        surprises: names that hardly belong where they stand.
        no_source: categories that no list fills with more than its canary (R2).
        blocks_from: where the blocked lookups were counted; empty: nowhere.
    """

    version: str
    worths: tuple[Worth, ...]
    covered: Mapping[str, int]
    rejected: Mapping[str, int]
    surprises: tuple[Surprise, ...]
    no_source: tuple[str, ...]
    blocks_from: str

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)


def report(config: Config, events: Path | None = None) -> Report:
    """Return the hygiene report of the index in use.

    Args:
        config: of the box.
        events: a saved answer of ``/v1/events``; None: the endpoint's own store, if there is one.

    Raises:
        ListError: there is no index yet, or the file of events cannot be read.
        FilterdError: catalogue, policy or index cannot be read.
    """
    path = activate.current(config.state.lists)
    if path is None:
        raise ListError("there is no index yet", remedy="run `filterd lists compile`")
    categories = load_categories(config.papers.categories)
    blocks, origin = _blocks(config, events)
    index = Index.open(path)
    infos = tuple(index.lists.values())
    try:
        found = surprises(index, guarded_here(config, categories), categories)
    finally:
        index.close()
        del index  # the walk below maps the file anew
    compiled = _compiled(path.with_name(activate.REPORT))
    catalogue = load_catalogue(config.papers.catalogue, categories)
    return Report(
        path.parent.name,
        worths(path, infos, blocks),
        {one.id: one.covered + one.duplicates for one in compiled.lists} if compiled else {},
        {one.id: one.rejects for one in compiled.lists} if compiled else {},
        found,
        show(catalogue, categories, config.state.lists).uncovered,
        origin,
    )


def _compiled(path: Path) -> CompileReport | None:
    try:
        return read_report(path)
    except ListError:
        return None


def _blocks(config: Config, events: Path | None) -> tuple[Mapping[str, int] | None, str]:
    if events is not None:
        return _of_events(events), str(events)
    store = config.state.store
    if not store.is_file():
        return None, ""
    try:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=5) as connection:
            rows = connection.execute("SELECT list_id, SUM(count) FROM events GROUP BY list_id").fetchall()
        connection.close()
    except sqlite3.Error:
        return None, ""
    return {str(list_id): int(count) for list_id, count in rows if list_id}, str(store)


def _of_events(path: Path) -> Mapping[str, int]:
    try:
        found = json.loads(path.read_bytes())
        counts: Counter[str] = Counter()
        for event in found["events"]:
            counts[str(event["list"])] += int(event["count"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ListError(f"no answer of /v1/events: {error}", file=path) from error
    del counts[""]
    return counts


State = Literal["stands", "overdue", "later", "ended"]


@dataclass(frozen=True, slots=True)
class ExceptionNow:
    """A reviewed exception and what it does today.

    Attributes:
        name, action, reason, author, review: as written; the day in ISO 8601.
        state: ``stands``, ``overdue`` (stands, and somebody should look at it again), ``later``, ``ended``.
        effects: what lists say of the name, and where it changes nothing, for a person.
    """

    name: str
    action: str
    reason: str
    author: str
    review: str
    state: State
    effects: tuple[str, ...]


def exceptions_now(config: Config) -> tuple[ExceptionNow, ...]:
    """Return the exceptions in the order of the file, with what each does today.

    Raises:
        FilterdError: a file, the policy or the index cannot be read.
    """
    categories = load_categories(config.papers.categories)
    today = datetime.now().astimezone().date()
    index = index_in_use(config) or Index.empty()
    policy = policy_to_ask(config, at=time.time())
    views = {group: policy.view(group) for group in policy.groups}
    try:
        return tuple(
            ExceptionNow(
                one.name, one.action, one.reason, one.author, one.review.isoformat(), _state(one, today),
                tuple(_effects(one, index, categories, views)),
            )
            for one in exceptions_of(config.papers, categories).all
        )  # fmt: skip
    finally:
        index.close()


def _state(one: ReviewedName, today: date) -> State:
    if today < one.since:
        return "later"
    if not one.stands(today):
        return "ended"
    return "overdue" if one.overdue(today) else "stands"


def _effects(one: ReviewedName, index: Index, categories: Categories, views: Mapping[str, Any]) -> list[str]:
    """Say what the lists name it as, and for whom the exception does not do what it says."""
    mine = categories.by_id[one.category or ALLOWED].bit
    named = sorted(
        {
            f"{categories.by_bit[match.entry.category].id} ({index.lists[match.entry.list_no].id})"
            for match in index.lookup(one.wire)
            if match.entry.category != mine and match.entry.category in categories.by_bit
        }
    )
    effects = [f"lists name it: {', '.join(named)}"] if named else []
    wanted = Action.ALLOW if one.action == "allow" else Action.BLOCK
    against: dict[str, list[str]] = {}
    for group, view in views.items():
        verdict = permit(one.wire, view, index)
        if verdict.action is not wanted:
            why = f"{verdict.reason}{' ' + verdict.category if verdict.category else ''}"
            against.setdefault(why, []).append(group)
    effects += [f"no effect for {', '.join(groups)}: {why}" for why, groups in against.items()]
    if one.action == "allow" and not named and not effects:
        effects.append("no list names it any more: it may go")
    return effects
