"""Whether the lists kept by people are in order: what a person should put right, with file and line.

For lists of the school, region or department, which somebody writes by hand; a fetched list is only counted.
Reads the files of the catalogue; changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from filterd.errors import ListError
from filterd.lists.catalogue import Material
from filterd.lists.formats import parse_blocks
from filterd.lists.formats.lines import blocks
from filterd.lists.guard import guard
from filterd.lists.rule import EXACT, SUBTREE, Rejected, Rule
from filterd.rules.categories import Categories
from filterd.wire import names


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to put right.

    Attributes:
        file: the list.
        line: 1-based.
        column: 1-based.
        message: what is wrong, in one line.
    """

    file: Path
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class _Listed(NamedTuple):
    rule: Rule
    file: Path
    line: int


def check_local(materials: Sequence[Material], categories: Categories) -> tuple[Finding, ...]:
    """Return what is wrong with the local lists, by file and line.

    Told are lines that give no rule, names listed twice or already covered in the same list, and names of a
    block list that an allow list lifts, in whole or in part.

    Raises:
        ListError: a list cannot be read.
    """
    findings: list[Finding] = []
    blocking: list[_Listed] = []
    allowing: dict[bytes, _Listed] = {}
    for material in materials:
        if material.source.origin != "local" or material.path is None or material.source.format == "ut1":
            continue
        listed = list(_read(material, findings))
        findings += _repeated(listed)
        if categories.by_id[material.source.category].kind == "allow":
            allowing.update((one.rule.name, one) for one in listed)
        else:
            blocking += listed
    findings += _lifted(blocking, allowing)
    return tuple(sorted(findings, key=lambda one: (str(one.file), one.line, one.column)))


def _read(material: Material, findings: list[Finding]) -> Iterator[_Listed]:
    source, path = material.source, material.path
    if path is None:
        return
    scope = EXACT if source.scope == "exact" else SUBTREE
    try:
        with path.open("rb") as file:
            parsed = parse_blocks(
                blocks(file), source.format, scope=scope, guard=guard(source.allowed_suffixes)
            )
            for line, item in parsed:
                if isinstance(item, Rejected):
                    findings.append(Finding(path, line, item.column, f"{item.reason}: {item.text}"))
                else:
                    yield _Listed(item, path, line)
    except OSError as error:
        raise ListError(f"cannot be read: {error.strerror or error}", file=path) from error


def _repeated(listed: Sequence[_Listed]) -> Iterator[Finding]:
    first: dict[Rule, _Listed] = {}
    wide: dict[bytes, _Listed] = {}
    for one in listed:
        if one.rule in first:
            text = names.to_text(one.rule.name)
            earlier = first[one.rule].line
            yield Finding(one.file, one.line, 1, f"{text} is listed twice, first on line {earlier}")
        first.setdefault(one.rule, one)
        if one.rule.scope != EXACT and not one.rule.allow:
            wide.setdefault(one.rule.name, one)
    for one in first.values():
        above = [wide[name] for name in list(names.parents(one.rule.name))[1:] if name in wide]
        if above and not one.rule.allow:
            covering = names.to_text(above[0].rule.name)
            text = names.to_text(one.rule.name)
            yield Finding(
                one.file, one.line, 1, f"{text} is covered already by {covering} on line {above[0].line}"
            )


def _lifted(blocking: Sequence[_Listed], allowing: dict[bytes, _Listed]) -> Iterator[Finding]:
    for one in blocking:
        for name in names.parents(one.rule.name):
            found = allowing.get(name)
            if found is None or (found.rule.scope == EXACT and name != one.rule.name):
                continue
            allowed = f"{names.to_text(name)} in {found.file.name}:{found.line}"
            text = names.to_text(one.rule.name)
            yield Finding(one.file, one.line, 1, f"{text} is blocked here and allowed by {allowed}")
            break
