"""What a compilation tells: per list and as a whole. Values and their JSON; no logic.

The report stands beside the index it describes, as ``report.json``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from filterd.errors import ListError
from filterd.lists.rule import Reason, Rejected

SAMPLES: Final = 10  # rejected lines kept for each list and reason


@dataclass(frozen=True, slots=True)
class ListReport:
    """What one list gave.

    Attributes:
        id: id of the list.
        title: what people call it.
        category: id of its category.
        origin: public, local or licensed.
        format: as in the catalogue.
        rules: names understood, repetitions included.
        duplicates: of these, repetitions.
        covered: of these, names left out of the index because another entry of the same list says the same.
        rejected: lines that gave no rule, by reason.
        samples: some of them, at most SAMPLES for each reason.
        usage: words of a UT1 folder's ``usage`` file.
        sha256: of what was read, in hex.
        seconds: time spent reading it.
        problem: why the list is not in the index at all; empty when it is.
    """

    id: str
    title: str
    category: str
    origin: str
    format: str
    rules: int = 0
    duplicates: int = 0
    covered: int = 0
    rejected: dict[Reason, int] = field(default_factory=dict)
    samples: tuple[Rejected, ...] = ()
    usage: tuple[str, ...] = ()
    sha256: str = ""
    seconds: float = 0.0
    problem: str = ""

    @property
    def names(self) -> int:
        """Different names that the list gave."""
        return self.rules - self.duplicates

    @property
    def rejects(self) -> int:
        """Lines that gave no rule."""
        return sum(self.rejected.values())


@dataclass(frozen=True, slots=True)
class CompileReport:
    """What a compilation made.

    Attributes:
        version: identity of the index.
        built_at: UTC seconds.
        names: names in the index.
        size: of the index file, in bytes.
        seconds: time of the whole compilation.
        peak_memory: highest resident size of the process that compiled, in bytes.
        lists: one report for each enabled list.
    """

    version: str
    built_at: int
    names: int
    size: int
    seconds: float
    peak_memory: int
    lists: tuple[ListReport, ...]

    def to_json(self) -> bytes:
        """Return the report as JSON."""
        return _REPORT.dump_json(self, indent=1)


_REPORT: Final = TypeAdapter(CompileReport)


def read_report(path: Path) -> CompileReport:
    """Read a report.

    Raises:
        ListError: missing, unreadable, or not a report.
    """
    try:
        return _REPORT.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ListError(f"no report: {error}", file=path, remedy="run `filterd lists compile`") from error


def parse_report(content: bytes) -> CompileReport:
    """Return the report in these bytes.

    Raises:
        ListError: they are none.
    """
    try:
        return _REPORT.validate_json(content)
    except ValidationError as error:
        raise ListError(f"not a report of a compilation: {error}") from error
