"""All lists -> one index file: read, sort, merge, write.

Memory is bounded by the size of a sorted run, whatever the lists hold. A bad line is counted; a list that
cannot be read ends the compilation, and the index in use stays. Meant for a process of its own
(``worker.py``): it keeps a core busy.
"""

from __future__ import annotations

import hashlib
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from filterd.errors import DomainIndexError, ListError
from filterd.lists.building import IndexWriter
from filterd.lists.catalogue import Material
from filterd.lists.formats import usage
from filterd.lists.identity import digest, version_of
from filterd.lists.merging import ENTRY, entries_by_name
from filterd.lists.reading import Numbered, rules_of, unreadable
from filterd.lists.report import SAMPLES, CompileReport, ListReport
from filterd.lists.rule import Reason, Rejected, Rule
from filterd.lists.sorting import RUN, Sorter
from filterd.rules.categories import Categories
from filterd.rules.index import Entry, Index, encode, key
from filterd.rules.listinfo import META_KEY, ListInfo, write_meta
from filterd.rules.yamlsource import meant


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a compilation is.

    Attributes:
        stage: ``read`` (after each list) or ``write`` (after each batch of names).
        what: the id of the list; empty while writing.
        done: lists read, or records merged, so far.
        total: of these, in all.
    """

    stage: str
    what: str
    done: int
    total: int


def compile_lists(
    materials: Sequence[Material],
    categories: Categories,
    target: Path,
    *,
    now: int,
    sequence: int = 0,
    held: int = RUN,
    progress: Callable[[Progress], object] = lambda _step: None,
) -> CompileReport:
    """Compile lists into a new index file.

    Args:
        materials: the lists; their order numbers them within the index.
        categories: give each list's category its bit.
        target: the file to make, in an existing folder; must not exist. Read-only and synced afterwards.
        now: UTC seconds, for the index's own record.
        sequence: number of the build, for the version.
        held: records held in memory at a time, about 100 bytes each.
        progress: called now and then.

    Raises:
        ListError: a list cannot be read, or its category is unknown.
        DomainIndexError: the index cannot be written.
    """
    begun = time.monotonic()
    duplicates: Counter[int] = Counter()
    covered: Counter[int] = Counter()
    with TemporaryDirectory(dir=target.parent, prefix=".runs-") as folder:
        sorter = Sorter(Path(folder), lambda record: duplicates.update((_list_no(record),)), run=held)
        reports = []
        for number, material in enumerate(materials):
            reports.append(_read(number, material, categories, sorter))
            progress(Progress("read", material.source.id, number + 1, len(materials)))
        content = digest(materials, [report.sha256 for report in reports], categories)
        version = version_of(sequence, content)
        total = sorter.count
        with IndexWriter(target, names=total, size=sorter.size) as writer:
            names = 0
            merged = entries_by_name(sorter.merged(), lambda number: covered.update((number,)))
            for names in writer.write(merged):
                progress(Progress("write", "", names, total))
            reports = [
                replace(report, duplicates=duplicates[number], covered=covered[number])
                for number, report in enumerate(reports)
            ]
            infos = [_info(number, *pair) for number, pair in enumerate(zip(materials, reports, strict=True))]
            size = writer.finish(META_KEY, write_meta(version, now, names, infos))
    _verify(target, names)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return CompileReport(version, now, names, size, time.monotonic() - begun, peak, tuple(reports))


def _read(number: int, material: Material, categories: Categories, sorter: Sorter) -> ListReport:
    """Parse one list into the sorter."""
    begun = time.monotonic()
    source = material.source
    category = categories.by_id.get(source.category)
    if category is None:
        raise ListError(
            f"list {source.id!r}: unknown category {source.category!r}",
            remedy=meant(source.category, categories.by_id),
        )
    report = ListReport(source.id, source.title, source.category, source.origin, source.format)
    if material.path is None and material.text is None:
        return replace(report, problem="not fetched yet")
    digest = hashlib.sha256()
    tally = _Tally(number, category.bit, hidden=category.illegal)
    try:
        sorter.extend(tally.records(rules_of(material, digest.update)))
    except OSError as error:
        raise unreadable(material, error) from error
    return replace(
        report,
        rules=tally.rules,
        rejected=dict(tally.rejected),
        samples=tuple(tally.samples),
        usage=usage(material.path) if material.path is not None and source.format == "ut1" else (),
        sha256=digest.hexdigest(),
        seconds=round(time.monotonic() - begun, 3),
    )


class _Tally:
    """Turns what a parser says into records, and counts the rest."""

    def __init__(self, number: int, bit: int, *, hidden: bool) -> None:
        self.rules = 0
        self.rejected: Counter[Reason] = Counter()
        self.samples: list[Rejected] = []
        self._hidden = hidden  # names of illegal content are never displayed (R1)
        self._tails = {
            (scope, allow, important): b"\x00" + encode((Entry(number, bit, scope, allow, important),))
            for scope in (0, 1, 2)
            for allow in (False, True)
            for important in (False, True)
        }

    def records(self, parsed: Numbered) -> Iterator[bytes]:
        """Yield a record for each rule."""
        tails = self._tails
        count = 0
        for _, item in parsed:
            if isinstance(item, Rule):
                count += 1
                yield key(item[0]) + tails[item[1:]]
            else:
                self._count(item)
        self.rules = count

    def _count(self, rejected: Rejected) -> None:
        self.rejected[rejected.reason] += 1
        if self.rejected[rejected.reason] <= SAMPLES:
            self.samples.append(rejected._replace(text="") if self._hidden else rejected)


def _list_no(record: bytes) -> int:
    return int.from_bytes(record[-ENTRY : -ENTRY + 2], "big")


def _info(number: int, material: Material, report: ListReport) -> ListInfo:
    source = material.source
    return ListInfo(
        no=number,
        id=source.id,
        category=source.category,
        origin=source.origin,
        licence=source.licence,
        entries=report.names,
        rejected=report.rejects,
        sha256=report.sha256,
        fetched_at=material.fetched_at,
        title=source.title,
    )


def _verify(target: Path, names: int) -> None:
    """Read the new file as a server will."""
    index = Index.open(target)
    index.close()
    if index.names != names:
        raise DomainIndexError(f"{target} holds {index.names} names, {names} were written")
