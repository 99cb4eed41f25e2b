"""A staged activation: compile, gate, switch, watch, and keep the new index or go back by itself.

What is watched are refusals: the share of lookups that the filter blocks, before and after the switch. A list
that breaks a school's internet shows there within minutes. Blocks while it watches: for a command, never for
the DNS process.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Final, Literal

from filterd.lists import activate, history
from filterd.lists.gathering import gather
from filterd.lists.history import MACHINE, Event
from filterd.lists.identity import content_of, expected
from filterd.lists.report import CompileReport
from filterd.lists.worker import Job, Report, compile_in_process
from filterd.rules.categories import load_categories

_STEP: Final = 5.0  # seconds between two looks; the DNS processes report as often
_SUDDEN: Final = 0.15  # more lookups blocked, as a share of all, is too much ...
_TIMES: Final = 2.0  # ... if it is also so many times what it was
_WITHOUT_BEFORE: Final = 0.6  # the share that is too much when nothing is known of before

Result = Literal["unchanged", "held", "refused", "activated", "kept", "rolled-back"]


@dataclass(frozen=True, slots=True)
class Refusals:
    """What the DNS processes counted since they started.

    Attributes:
        lookups: answered.
        blocked: of these.
        index_refused: indexes that a process could not open.
        versions: the versions that they serve.
    """

    lookups: int
    blocked: int
    index_refused: int
    versions: frozenset[str]

    @property
    def share(self) -> float:
        """Blocked lookups as a share of all."""
        return self.blocked / self.lookups if self.lookups else 0.0

    def since(self, before: Refusals) -> Refusals:
        """Return what came after; a process that started anew counts from its start."""
        if self.lookups < before.lookups or self.blocked < before.blocked:
            return self
        return replace(self, lookups=self.lookups - before.lookups, blocked=self.blocked - before.blocked)


Look = Callable[[], Refusals | None]  # None: no filter runs here


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to watch.

    Attributes:
        seconds: at least, and until `lookups` were seen; 0: not at all.
        lookups: from how many on their share says something.
        most: seconds at most.
        take: seconds in which every DNS process must serve the new index.
    """

    seconds: float = 600.0
    lookups: int = 500
    most: float = 6 * 3600.0
    take: float = 60.0


@dataclass(frozen=True, slots=True)
class Staged:
    """What came of it.

    Attributes:
        result: ``unchanged`` (the index in use is of just these lists), ``held`` (the history speaks against
            it), ``refused`` (the gate does), ``activated`` (in use; nobody watched), ``kept`` (watched, and
            good), ``rolled-back``.
        version: of the new index; empty when none was made.
        why: in one sentence, where there is something to say.
        report: of the compilation.
    """

    result: Result
    version: str = ""
    why: str = ""
    report: CompileReport | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """What an activation works with.

    Attributes:
        job: what to compile.
        judge: the gate: the path of an index -> why it must not be used.
        look: the filter that runs here.
        patience: how long to watch.
        clock: UTC seconds.
        timer: seconds that no change of the clock disturbs.
        sleep: waits.
        compile: makes the new version; `worker.build` does it in this process.
    """

    job: Job
    judge: Callable[[Path], tuple[str, ...]]
    look: Look
    patience: Patience = Patience()
    clock: Callable[[], float] = time.time
    timer: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    compile: Callable[[Job, Report], CompileReport | None] = compile_in_process


def stage(stage: Stage, *, why: str = "", progress: Report = lambda _step: None) -> Staged:
    """Bring the lists as they are now into use.

    Raises:
        ListError, PolicyError, DomainIndexError: nothing was changed.
    """
    job = stage.job
    folder, now = job.folder, stage.clock()
    before = activate.current_version(folder) or ""
    content = _content(job)
    if before and content_of(before) == content:
        return Staged("unchanged", before)
    objection = history.standing(history.read(folder)).objection(content, now)
    if objection and before:
        return Staged("held", "", objection)
    report = stage.compile(replace(job, switch=False, only_if_changed=False), progress)
    if report is None:
        return Staged("unchanged", before)
    problems = stage.judge(folder / report.version / activate.INDEX)
    event = Event(int(now), "activated", report.version, before, MACHINE, why)
    if problems:
        history.write(folder, replace(event, action="refused", why="; ".join(problems)))
        shutil.rmtree(folder / report.version, ignore_errors=True)
        return Staged("refused", "", "; ".join(problems), report)
    return _switch(stage, event, report)


def _switch(stage: Stage, event: Event, report: CompileReport) -> Staged:
    folder, before = stage.job.folder, event.before
    counted = stage.look() if stage.patience.seconds else None
    activate.activate(folder, report.version)
    history.write(folder, event)
    if counted is None or not before:
        why = "" if before else "the first index"
        return Staged("activated", report.version, why, report)
    trouble = watch(stage, counted, report.version)
    if activate.current_version(folder) != report.version:
        return Staged("activated", report.version, "somebody else switched meanwhile", report)
    event = replace(event, at=int(stage.clock()), by=MACHINE)
    if trouble:
        activate.activate(folder, before)
        history.write(folder, replace(event, action="rolled-back", why=trouble))
        return Staged("rolled-back", report.version, trouble, report)
    history.write(folder, replace(event, action="kept", why=""))
    return Staged("kept", report.version, "", report)


def watch(stage: Stage, before: Refusals, version: str) -> str:
    """Watch the filter after a switch; return why to go back, empty: it is good.

    Args:
        stage: what to look at and how long.
        before: what was counted until the switch.
        version: the version that is in use now.
    """
    patience, begun = stage.patience, stage.timer()
    while True:
        stage.sleep(min(_STEP, patience.seconds))
        now = stage.look()
        if now is None:  # the filter was stopped: it will start with the new index, or complain
            return ""
        passed = stage.timer() - begun
        if now.index_refused > before.index_refused:
            return "a DNS process could not open the index"
        if passed >= patience.take and now.versions != {version}:
            return f"not every DNS process took the index within {patience.take:.0f} s"
        after = now.since(before)
        enough = after.lookups >= patience.lookups
        if enough and _too_much(before, after, patience):
            return f"{after.share:.0%} of {after.lookups} lookups were blocked, {before.share:.0%} before"
        if (enough and passed >= patience.seconds) or passed >= patience.most:
            return ""


def _too_much(before: Refusals, after: Refusals, patience: Patience) -> bool:
    if before.lookups < patience.lookups:
        return after.share > _WITHOUT_BEFORE
    return after.share - before.share > _SUDDEN and after.share > before.share * _TIMES


def _content(job: Job) -> str:
    categories = load_categories(job.papers.categories)
    today = date.fromisoformat(job.today) if job.today else datetime.now().astimezone().date()
    return expected(gather(job.papers, categories, today), categories)


def switch_by_hand(folder: Path, version: str, *, by: str, why: str, now: float) -> None:
    """Put a version in use because a person says so; ends every hold and bar on it.

    Raises:
        ListError: there is no such version.
        DomainIndexError: it is damaged; the one in use stays.
    """
    before = activate.current_version(folder) or ""
    activate.activate(folder, version)
    history.write(folder, Event(int(now), "activated", version, before, by, why))


def roll_back_by_hand(folder: Path, *, by: str, why: str, now: float, hold: float) -> tuple[str, str]:
    """Go back to the version before, and hold updates for some seconds; return (from, to).

    Raises:
        ListError: there is no older version.
        DomainIndexError: it is damaged; the one in use stays.
    """
    now_used = activate.current_version(folder) or ""
    older = activate.roll_back(folder)
    event = Event(int(now), "rolled-back", now_used, older, by, why, int(now + hold) if hold else 0)
    history.write(folder, event)
    return now_used, older
