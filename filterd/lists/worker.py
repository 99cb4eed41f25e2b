"""A compilation in a process of its own, with low priority, so that no lookup waits for it.

``compile_in_process`` starts ``python -m filterd.lists.worker``, hands it a job as a line of JSON and reads
JSON lines back: progress, then the report or the error. The end of its standard input tells that process that
nobody waits any more. ``build`` is what that process does; a command that has nothing else to do may call it
directly.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

from pydantic import TypeAdapter

from filterd.errors import DomainIndexError, FilterdError, ListError, PolicyError, SourceError
from filterd.lists import activate, history
from filterd.lists.building import sync
from filterd.lists.catalogue import Material
from filterd.lists.compile import Progress, compile_lists
from filterd.lists.gathering import gather
from filterd.lists.identity import content_of, expected
from filterd.lists.papers import Papers
from filterd.lists.report import CompileReport, parse_report
from filterd.rules.categories import Categories, load_categories
from filterd.rules.index import Index

NICE: Final = 10  # added to the priority number: a compilation takes what serving leaves over
_ERRORS: Final = {kind.__name__: kind for kind in (ListError, PolicyError, SourceError)}
_STDERR: Final = 2000  # characters of a crash that are shown


@dataclass(frozen=True, slots=True)
class Job:
    """What to compile, and where to.

    Attributes:
        papers: where the lists stand.
        folder: the folder of versions.
        today: the day for which exceptions count, ISO 8601; empty: this one.
        switch: make the new version the one in use.
        keep: versions to keep.
        only_if_changed: do nothing when the index in use was made from just these lists, or when an index is
            in use and the history speaks against making another one by itself.
    """

    papers: Papers
    folder: Path
    today: str = ""
    switch: bool = True
    keep: int = activate.KEEP
    only_if_changed: bool = False

    def to_json(self) -> bytes:
        """Return the job for another process."""
        return _JOB.dump_json(self)


_JOB: Final[TypeAdapter[Job]] = TypeAdapter(Job)


Report = Callable[[Progress], object]


def build(job: Job, progress: Report = lambda _step: None) -> CompileReport | None:
    """Compile a new version, and switch to it if the job says so.

    Returns:
        The report; None when the job asked for nothing unless something changed, and nothing did.

    Raises:
        ListError: the catalogue or a list is wrong, or another compilation is running.
        PolicyError: the categories are wrong.
        DomainIndexError: the index cannot be written.
    """
    categories = load_categories(job.papers.categories)
    today = date.fromisoformat(job.today) if job.today else datetime.now().astimezone().date()
    lists = gather(job.papers, categories, today)
    if job.only_if_changed and _needless(lists, categories, job.folder):
        return None
    with activate.building(job.folder) as place:
        report = compile_lists(
            lists,
            categories,
            place / activate.INDEX,
            now=int(time.time()),
            sequence=activate.next_sequence(job.folder),
            progress=progress,
        )
        _keep_report(report, place / activate.REPORT)
        activate.install(job.folder, place, report.version)
    if job.switch:
        activate.activate(job.folder, report.version)
    activate.prune(job.folder, job.keep)
    return report


def _needless(lists: Sequence[Material], categories: Categories, folder: Path) -> bool:
    version = activate.current_version(folder)
    if version is None:
        return False
    try:
        Index.open(folder / version / activate.INDEX).close()
    except DomainIndexError:  # whatever speaks against another one: this one serves nobody
        return False
    content = expected(lists, categories)
    objection = history.standing(history.read(folder)).objection(content, time.time())
    return content == content_of(version) or bool(objection)


def compile_in_process(job: Job, progress: Report = lambda _step: None) -> CompileReport | None:
    """Do what ``build`` does, in another process. Blocks; call it from a thread where that matters.

    Raises:
        ListError, PolicyError, DomainIndexError: as ``build``; ListError also when the process dies.
    """
    command = [sys.executable, "-P", "-m", "filterd.lists.worker"]
    with TemporaryFile() as stderr:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,  # Ctrl-C is for who started us; this side ends the process then
        )
        with process:
            try:
                return _converse(process, job, progress, stderr)
            finally:
                process.kill()  # it has ended, unless this side was interrupted
                if process.stdin is not None:
                    with suppress(BrokenPipeError):  # what a process that died at once did not read
                        process.stdin.close()


def _converse(
    process: subprocess.Popen[bytes], job: Job, progress: Report, stderr: IO[bytes]
) -> CompileReport | None:
    given, said = process.stdin, process.stdout
    if given is None or said is None:
        raise ListError("the compiler's process has no pipes")
    with suppress(BrokenPipeError):  # it died at once; its last words say why
        given.write(job.to_json() + b"\n")
        given.flush()
    for line in said:
        message = json.loads(line)
        if "progress" in message:
            progress(Progress(**message["progress"]))
        elif "report" in message:
            process.wait()
            return None if message["report"] is None else parse_report(message["report"].encode())
        else:
            raise _error(message["error"])
    code = process.wait()
    stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, stderr.tell() - _STDERR))
    told = stderr.read().decode("utf-8", "backslashreplace").strip()
    raise ListError(f"the compiler's process ended with {code}: {told or 'no message'}")


def _keep_report(report: CompileReport, path: Path) -> None:
    try:
        path.write_bytes(report.to_json())
        sync(path)
    except OSError as error:
        raise DomainIndexError(f"{path} cannot be written: {error.strerror or error}") from error


def _error(told: dict[str, str | int]) -> FilterdError:
    message, remedy = str(told["message"]), str(told["remedy"])
    kind = _ERRORS.get(str(told["kind"]))
    if kind is None:
        return DomainIndexError(message, remedy=remedy)
    place = {"line": int(told["line"]), "column": int(told["column"])}
    return kind(message, file=str(told["file"]) or None, remedy=remedy, **place)


def _told(error: FilterdError) -> dict[str, str | int]:
    place = (error.file, error.line, error.column) if isinstance(error, SourceError) else (None, 0, 0)
    return {
        "kind": type(error).__name__,
        "message": error.message,
        "remedy": error.remedy,
        "file": str(place[0] or ""),
        "line": place[1],
        "column": place[2],
    }


def main() -> int:
    """Do the job that stands on standard input; tell about it on standard output."""
    with suppress(OSError):  # a unit may forbid it, and then it has a priority of its own
        os.nice(NICE)
    job = _JOB.validate_json(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_caller, name="leash", daemon=True).start()
    try:
        report = build(job, lambda step: _say({"progress": asdict(step)}))
    except FilterdError as error:
        _say({"error": _told(error)})
        return 1
    _say({"report": None if report is None else report.to_json().decode()})
    return 0


def _end_with_caller() -> None:
    """End this process when its caller is gone, however it went; a version half made is never in use."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(1)


def _say(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
