"""The files of a policy, read once: what is merged, kept and put in force is then one and the same text.

Reads the layers and the calendars beside them; says nothing of what they mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filterd.errors import PolicyError
from filterd.rules.yamlsource import MAX_BYTES, Source, load


@dataclass(frozen=True, slots=True)
class LayerFiles:
    """Where the layers are.

    Attributes:
        baseline, school, region: the files.
        shown: names for people of files that are copies.
        calendars: calendars that do not lie beside the layer that names them, by the layer's name for people
            and the name written there.
    """

    baseline: Path
    school: Path | None = None
    region: Path | None = None
    shown: Mapping[Path, str] = field(default_factory=dict)
    calendars: Mapping[tuple[str, str], Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layers:
    """What was read: the layers, and the texts of calendars by the layer's file and the name in it."""

    baseline: Source
    school: Source | None = None
    region: Source | None = None
    calendars: Mapping[tuple[str, str], str] = field(default_factory=dict)


def read_layers(files: LayerFiles) -> Layers:
    """Read all files of a policy.

    Raises:
        PolicyError: one cannot be read, or is not YAML. A calendar that is not there is told when it is used.
    """
    found = {
        path: load(path, error=PolicyError, shown=files.shown.get(path, ""))
        for path in (files.baseline, files.region, files.school)
        if path is not None
    }
    texts: dict[tuple[str, str], str] = {}
    for path, source in found.items():
        for written in set(_calendars(source.data)):
            key = (source.file, written)
            text = _text(files.calendars.get(key) or path.parent / written)
            if text is not None:
                texts[key] = text
    return Layers(
        found[files.baseline],
        found[files.school] if files.school is not None else None,
        found[files.region] if files.region is not None else None,
        texts,
    )


def _calendars(data: Any) -> Iterator[str]:
    """Return every calendar that a layer may name; whether it does so rightly is told when it is merged."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key in ("calendar", "file") and isinstance(value, str) and value.endswith(".ics"):
                yield value
            yield from _calendars(value)
    elif isinstance(data, list):
        for value in data:
            yield from _calendars(value)


def _text(path: Path) -> str | None:
    if ".." in path.parts:
        return None
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise PolicyError(f"cannot be read: {error}", file=path, remedy="check its permissions") from error
    if len(content) > MAX_BYTES:
        raise PolicyError(f"larger than {MAX_BYTES} bytes", file=path, remedy="export fewer years")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PolicyError("not UTF-8", file=path, remedy="export it as UTF-8") from error
