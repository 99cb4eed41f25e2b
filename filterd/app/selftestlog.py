"""Dated evidence of the self-tests (R19): one JSON line each, for the monthly report and for health.

The file is bounded: the oldest lines go. A test that could not ask is evidence too, and counts as failed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from filterd.app.learning import Availability
from filterd.app.prepare import write_atomically
from filterd.app.selftest import Finding
from filterd.config.load import Config
from filterd.errors import StartError
from filterd.lists import activate
from filterd.lists.catalogue import load_catalogue
from filterd.lists.showing import show
from filterd.rules.categories import Categories

KEPT: Final = 750  # lines: two years of daily tests, about 3 MB


@dataclass(frozen=True, slots=True)
class Evidence:
    """One self-test.

    Attributes:
        at: when it ended, UTC, ISO 8601.
        server: who was asked.
        school: id of the school.
        policy, index: versions that were in force.
        tested: categories asked for.
        failed: ids of those that did not answer as the policy says.
        no_source: ids of those whose list holds only the canary.
        error: why nothing could be asked; empty when it could.
        results: per category: expected, got, milliseconds.
        learning_tested, learning_answered: learning sites asked for, and of these answered with an address.
    """

    at: str
    server: str
    school: str
    policy: str
    index: str
    tested: int
    failed: list[str]
    no_source: list[str]
    error: str
    results: dict[str, list[Any]]
    learning_tested: int = 0
    learning_answered: int = 0


def evidence_of(
    config: Config,
    server: object,
    findings: Sequence[Finding],
    learning: Availability,
    *,
    bare: Collection[str],
    school: str,
    policy: str,
    error: str = "",
) -> Evidence:
    """Return the evidence of a self-test that ended now.

    Args:
        config: of the box.
        server: who was asked.
        findings: one for each category.
        learning: how the learning sites answered.
        bare: what `bare` returned.
        school: id of the school.
        policy: version of the policy that the findings were compared with.
        error: why nothing could be asked.
    """
    return Evidence(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        server=str(server),
        school=school,
        policy=policy,
        index=activate.current_version(config.state.lists) or "",
        tested=len(findings),
        failed=[one.category.id for one in findings if not one.passed],
        no_source=[one.category.id for one in findings if one.category.id in bare],
        error=error,
        learning_tested=learning.tested,
        learning_answered=learning.answered,
        results={one.category.id: [one.expected, one.got, round(one.milliseconds, 1)] for one in findings},
    )


def bare(config: Config, categories: Categories) -> frozenset[str]:
    """Return the categories that no list in use fills with more than its canary: "no source" (R2).

    Raises:
        FilterdError: catalogue or index cannot be read.
    """
    catalogue = load_catalogue(config.papers.catalogue, categories)
    return frozenset(show(catalogue, categories, config.state.lists).uncovered)


def store(path: Path, evidence: Evidence) -> None:
    """Add evidence to the file.

    Raises:
        StartError: the file cannot be written.
    """
    line = json.dumps(asdict(evidence), ensure_ascii=False, separators=(",", ":"))
    try:
        lines = [*_lines(path), line][-KEPT:]
        write_atomically(path, "".join(f"{one}\n" for one in lines).encode())
    except OSError as error:
        raise StartError(f"cannot store the evidence in {path}: {error.strerror}") from error


def evidence(path: Path) -> Iterator[Evidence]:
    """Return the evidence in the file, the newest first; lines that cannot be read are left out."""
    for line in reversed(_lines(path)):
        try:
            yield Evidence(**json.loads(line))
        except (ValueError, TypeError):
            continue


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
