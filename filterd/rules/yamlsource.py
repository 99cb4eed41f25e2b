"""YAML with positions: what people write, checked so that every error names file, line and column.

Reads a careful subset: no aliases, anchors, tags or several documents; scalars as in the YAML 1.2 core
schema, so that ``12:34:56:10:20:30`` stays a MAC address and ``no`` a word. Never runs or imports anything
that a file names.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from filterd.errors import SourceError

MAX_BYTES = 1 << 20
MAX_NODES = 50_000
MAX_DEPTH = 32
MAX_NOTES = 20

_LOADER: Any = getattr(
    yaml, "CSafeLoader", yaml.SafeLoader
)  # libyaml where the wheel has it: ten times faster
_UNSEEN = re.compile("[^\t\n\r -~\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # YAML 1.2 section 5.1
_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,18}|[0-9]{1,18}(?:\.[0-9]{0,18})?)(?:[eE][-+]?[0-9]{1,3})?")

TreePath = tuple[
    str | int, ...
]  # the keys and list positions that lead to a value: ("groups", 2, "clients", 0)
Model = TypeVar("Model", bound=BaseModel)


class Place(NamedTuple):
    """Where something stands: ``file:line:column``, counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed file.

    Attributes:
        file: its name, for messages.
        text: what was read.
        data: plain dicts, lists and scalars.
        error: the kind of error to raise about it.
        values: where each value stands.
        keys: where the key of each value in a mapping stands.
    """

    file: str
    text: str
    data: Any
    error: type[SourceError]
    values: dict[TreePath, Place]
    keys: dict[TreePath, Place]

    def place(self, path: Sequence[str | int] = (), *, key: bool = False) -> Place:
        """Return where the value (or its key) at a path stands, or the nearest one above that is there."""
        wanted = tuple(path)
        if key and wanted in self.keys:
            return self.keys[wanted]
        while wanted and wanted not in self.values:
            wanted = wanted[:-1]
        return self.values.get(wanted, Place(self.file, 1, 1))

    def wrong(
        self, message: str, path: Sequence[str | int] = (), *, key: bool = False, remedy: str = ""
    ) -> SourceError:
        """Return the error to raise about what stands at a path."""
        place = self.place(path, key=key)
        return self.error(message, file=place.file, line=place.line, column=place.column, remedy=remedy)


class Section(NamedTuple):
    """A part of a file, for code that reads only that part."""

    source: Source
    path: TreePath

    def inner(self, *parts: str | int) -> Section:
        """Return a part of this part."""
        return Section(self.source, (*self.path, *parts))

    def place(self, *parts: str | int) -> Place:
        """Return where a value in this part stands."""
        return self.source.place((*self.path, *parts))

    def wrong(self, message: str, *parts: str | int, key: bool = False, remedy: str = "") -> SourceError:
        """Return the error to raise about a value in this part."""
        return self.source.wrong(message, (*self.path, *parts), key=key, remedy=remedy)


def load(path: Path, *, error: type[SourceError] = SourceError, shown: str = "") -> Source:
    """Read and parse a file.

    Args:
        path: the file.
        error: the kind of error to raise about it.
        shown: its name for people, when ``path`` is a copy.

    Raises:
        SourceError: (or the given subclass of it) missing, unreadable, too big, or not YAML as taken here.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as fault:
        reason = fault.strerror or str(fault)
        raise error(
            f"cannot be read: {reason}", file=path, remedy="check the path and its permissions"
        ) from fault
    return parse(content, file=shown or str(path), error=error)


def parse(content: bytes | str, *, file: str, error: type[SourceError] = SourceError) -> Source:
    """Parse YAML text.

    Raises:
        SourceError: (or the given subclass of it) with line and column.
    """
    if len(content) > MAX_BYTES:
        raise error(f"larger than {MAX_BYTES} bytes", file=file, remedy="check what was written there")
    text = content if isinstance(content, str) else _decode(content, file, error)
    if (found := _UNSEEN.search(text)) is not None:
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - text.rfind("\n", 0, found.start())
        raise error(
            f"character U+{ord(found[0]):04X} cannot be in a text",
            file=file,
            line=line,
            column=column,
            remedy="remove it",
        )
    composer = _Composer(file, error)
    try:
        data = composer.document(text)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        message = f"not YAML: {fault.problem or fault.context or 'cannot be parsed'}"
        raise error(
            message, file=file, line=line, column=column, remedy="check indentation, colons and quotes"
        ) from fault
    except yaml.YAMLError as fault:  # of the reader, without a mark
        raise error(f"not YAML: {str(fault).splitlines()[0]}", file=file) from fault
    return Source(file, text, data, error, composer.values, composer.keys)


def _decode(content: bytes, file: str, error: type[SourceError]) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        column = fault.start - content.rfind(b"\n", 0, fault.start)
        raise error("not UTF-8", file=file, line=line, column=column, remedy="save it as UTF-8") from fault


class _Composer:
    """Builds plain values from parser events, so that caps hold before anything big is built."""

    def __init__(self, file: str, error: type[SourceError]) -> None:
        self.values: dict[TreePath, Place] = {}
        self.keys: dict[TreePath, Place] = {}
        self._file = file
        self._error = error
        self._nodes = 0

    def document(self, text: str) -> Any:
        events = yaml.parse(text, Loader=_LOADER)
        data: Any = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._wrong(event, "a second document", "keep one document in a file")
            elif isinstance(event, yaml.NodeEvent):
                data = self._node(event, events, ())
        return data

    def _node(self, event: Any, events: Iterator[Any], path: TreePath) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._wrong(event, f"more than {MAX_NODES} values", "split it, or use a list file")
        if len(path) > MAX_DEPTH:
            raise self._wrong(event, f"nested deeper than {MAX_DEPTH}", "check indentation and brackets")
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._wrong(event, "aliases and anchors are not taken here", "write the value out again")
        if event.tag is not None:
            raise self._wrong(event, "tags are not taken here", "remove the word that begins with !")
        self.values[path] = self._place(event)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, path)
        return self._mapping(events, path)

    def _sequence(self, events: Iterator[Any], path: TreePath) -> list[Any]:
        items: list[Any] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._node(event, events, (*path, len(items))))
        return items

    def _mapping(self, events: Iterator[Any], path: TreePath) -> dict[str, Any]:
        items: dict[str, Any] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            if not isinstance(event, yaml.ScalarEvent):
                raise self._wrong(event, "a key must be a word", "write `key: value`")
            key = event.value
            place = (*path, key)
            if key in items:
                earlier = self.keys[place]
                raise self._wrong(event, f"{key!r} is here twice, first at {earlier}", "keep one of them")
            self._node(event, events, place)  # the key obeys the same rules; it counts as a node
            self.keys[place] = self._place(event)
            items[key] = self._node(next(events), events, place)
        return items

    def _place(self, event: Any) -> Place:
        return Place(self._file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _wrong(self, event: Any, message: str, remedy: str) -> SourceError:
        place = self._place(event)
        return self._error(message, file=self._file, line=place.line, column=place.column, remedy=remedy)


def _scalar(event: Any) -> Any:
    text: str = event.value
    if event.style:  # quoted, or a block: always text (plain is "" from libyaml, None from pure Python)
        return text
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was most likely meant, None when none is near."""
    found = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def meant(word: str, known: Iterable[str]) -> str:
    """Return a remedy for an unknown word: the nearest right one, or all of them when they are few."""
    words = list(known)
    near = nearest(word, words)
    if near is not None:
        return f"did you mean {near!r}?"
    return f"known: {', '.join(sorted(words))}" if len(words) <= 40 else ""


def validate(model: type[Model], source: Source, *, context: dict[str, Any] | None = None) -> Model:
    """Return the parsed file as a pydantic model.

    Raises:
        SourceError: (or the kind the source was loaded with) the first fault by position, with file, line,
            column and the nearest right word; further faults are its notes (``__notes__``).
    """
    data = {} if source.data is None else source.data
    try:
        return model.model_validate(data, context=context)
    except ValidationError as fault:
        details = fault.errors(include_url=False)
    faults = [_Fault(detail["type"], _path_in(source, detail["loc"]), detail) for detail in details]
    told = [
        _translate(model, source, one) for one in sorted(_chosen(faults), key=lambda one: one.order(source))
    ]
    first, rest = told[0], told[1:]
    for error in rest[:MAX_NOTES]:
        first.add_note(f"also: {error}")
    if len(rest) > MAX_NOTES:
        first.add_note(f"and {len(rest) - MAX_NOTES} more")
    raise first


class _Fault(NamedTuple):
    """One of pydantic's errors, with the part of its location that exists in the file."""

    kind: str
    path: TreePath
    detail: Any

    @property
    def at_key(self) -> bool:
        return self.kind == "extra_forbidden" or self.detail["loc"][-1:] == ("[key]",)

    def order(self, source: Source) -> tuple[bool, Place]:
        # A missing key is mostly a misspelt one, and the misspelt one is what a person can see.
        return self.kind == "missing", source.place(self.path, key=self.at_key)


def _chosen(faults: list[_Fault]) -> list[_Fault]:
    """Leave out the members of a union that the value was never meant to be."""
    return [
        one
        for one in faults
        if not one.kind.endswith("_type")
        or not any(len(other.path) > len(one.path) == _common(one.path, other.path) for other in faults)
    ]


def _common(one: TreePath, other: TreePath) -> int:
    return next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))


def _translate(model: type[BaseModel], source: Source, fault: _Fault) -> SourceError:
    kind, path, detail = fault
    name = str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        return source.wrong(
            f"unknown key {name!r}", path, key=True, remedy=meant(name, _fields_at(model, path[:-1]))
        )
    if kind == "missing":
        return source.wrong(f"{str(detail['loc'][-1])!r} is missing here", path, remedy="add it")
    if kind in {"literal_error", "enum"}:
        return source.wrong(
            f"{detail['input']!r} is not known here", path, key=fault.at_key, remedy=_expected(detail)
        )
    message = detail["msg"].removeprefix("Value error, ")
    where = f"{name!r}: " if name and isinstance(path[-1], str) else ""
    remedy = "put it in quotes" if kind == "string_type" and isinstance(detail["input"], (int, float)) else ""
    return source.wrong(f"{where}{message[:1].lower()}{message[1:]}", path, key=fault.at_key, remedy=remedy)


def _expected(detail: Any) -> str:
    expected = detail["ctx"]["expected"]
    known = re.findall(r"'([^']*)'", expected)
    return meant(str(detail["input"]), known) if known else f"write {expected}"


def _path_in(source: Source, location: Sequence[str | int]) -> TreePath:
    """Return the part of pydantic's location that exists in the file; names of union members are left out."""
    path: TreePath = ()
    for part in location:
        if (*path, part) in source.values:
            path = (*path, part)
    return path


def _fields_at(model: type[BaseModel], path: TreePath) -> list[str]:
    """Return the keys that a model knows at a path."""
    found: list[Any] = [model]
    for part in path:
        inner: list[Any] = []
        for annotation in found:
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                field = _by_key(annotation).get(str(part))
                inner += _unwrapped(field) if field is not None else []
            else:
                inner += [one for argument in get_args(annotation)[-1:] for one in _unwrapped(argument)]
        found = inner
    return [
        key
        for annotation in found
        if isinstance(annotation, type) and issubclass(annotation, BaseModel)
        for key in _by_key(annotation)
    ]


def _by_key(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _unwrapped(annotation: Any) -> list[Any]:
    """Return the members of a union, without None and without Annotated's extras."""
    if hasattr(annotation, "__metadata__"):
        return _unwrapped(annotation.__origin__)
    if get_origin(annotation) in {Union, UnionType}:
        return [one for argument in get_args(annotation) for one in _unwrapped(argument)]
    return [] if annotation is type(None) else [annotation]
