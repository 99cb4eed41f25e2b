"""The policy on disk: what the configuration names, what is in force, and what was before.

What is put in force is a folder of its own, written from the very texts that were verified and read again
before one rename switches to it: a file being edited, a crash or a full disk can never half apply. The
folders of earlier versions are kept for undoing, bounded.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filterd.app.policyoverrides import OverrideStore
from filterd.config.load import Config
from filterd.errors import FilterdError, PolicyError, StartError
from filterd.rules.categories import ENGINES, SERVICES, Categories, load_categories
from filterd.rules.policy import Policy, merge_layers
from filterd.rules.reading import LayerFiles, Layers, read_layers
from filterd.rules.yamlsource import load

KEPT = 30  # versions
_CURRENT, _MANIFEST = "current", "manifest.json"
_CATEGORIES, _BASELINE, _REGION, _SCHOOL = "categories.yaml", "baseline.yaml", "region.yaml", "school.yaml"


@dataclass(frozen=True, slots=True)
class Draft:
    """A policy that was verified, with the texts it was made of."""

    policy: Policy
    categories: Categories
    layers: Layers


def draft(
    config: Config, *, school: Path | None = None, baseline: Path | None = None, region: Path | None = None
) -> Draft:
    """Return the policy that the configuration names, wholly checked.

    Args:
        config: says where the files are.
        school: another file in the place of the configured one.
        baseline: the same of the baseline.
        region: the same of the region.

    Raises:
        PolicyError: a layer or a catalogue is wrong; names file, line and remedy.
    """
    categories = load_categories(config.categories)
    files = LayerFiles(baseline or config.baseline, school or config.school, region or config.region)
    layers = read_layers(files)
    return Draft(merge_layers(layers, categories), categories, layers)


def verified(config: Config) -> Policy:
    """Return the policy that the configuration names; errors as of :func:`draft`."""
    return draft(config).policy


def policy_now(config: Config, *, generation: int = 1, at: float) -> Policy:
    """Return the policy in force in the configuration's state folder, under the overrides that hold.

    Raises:
        PolicyError: there is none, or its copy was damaged.
    """
    policy = in_force(config.state.policies, generation=generation)
    return policy.under(OverrideStore(config.state.overrides).active(at))


def policy_to_ask(config: Config, *, at: float) -> Policy:
    """Return the policy in force, or what would be: nothing runs here yet, or this user may not read it.

    Raises:
        PolicyError: the policy that the configuration names is wrong.
    """
    try:
        return policy_now(config, at=at)
    except FilterdError:
        return verified(config)


def named(config: Config, text: str, *, at: float) -> Policy:
    """Return the policy that a person names on the command line.

    Args:
        config: says where the files and the state folder are.
        text: ``in-force``, ``configured``, the beginning of a kept version's number, or a file: of a school,
            a region or a baseline, which is taken in the place of the configured one.
        at: now, in UTC seconds.

    Raises:
        PolicyError: there is no such policy, or it is wrong.
    """
    if text == "in-force":
        return policy_now(config, at=at)
    if text == "configured":
        return verified(config)
    path = Path(text)
    if path.is_file():
        kind = _kind_of(load(path, error=PolicyError).data)
        return draft(config, **{kind: path}).policy
    found = [version for version in versions(config.state.policies) if text and version.startswith(text)]
    if len(found) == 1:
        return kept(config.state.policies, found[0])
    raise PolicyError(
        f"{text!r} is no file and names {len(found)} kept versions",
        remedy="write a file, in-force, configured, or a version of `filterd policy log`",
    )


def _kind_of(data: object) -> str:
    keys = data.keys() if isinstance(data, dict) else ()
    if "school" in keys or "groups" in keys:
        return "school"
    return "region" if "region" in keys else "baseline"


def keep(folder: Path, made: Draft) -> None:
    """Keep a verified policy in ``folder``, and read it again to see that it is there as it was.

    Raises:
        StartError: the folder cannot be written, or did not keep what was written.
    """
    version = made.policy.version
    try:
        folder.mkdir(exist_ok=True, mode=0o700)
        if not _is_whole(folder, version):
            _write(folder, made)
    except OSError as error:
        raise StartError(f"cannot keep the policy in {folder}: {error}", remedy="check the disk") from error
    if not _is_whole(folder, version):
        raise StartError(f"the copy of the policy in {folder / version} is damaged", remedy="check the disk")


def switch(folder: Path, version: str) -> None:
    """Make a kept version the one in force, by one rename, durable.

    Raises:
        OSError: the folder cannot be written.
    """
    temporary = folder / f".{_CURRENT}.{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(version)
    temporary.replace(folder / _CURRENT)
    os.utime(folder / version)  # kept last, so forgotten last
    _sync(folder)
    _forget_oldest(folder)


def version_in_force(folder: Path) -> str:
    """Return the version in force; empty when there is none."""
    try:
        return (folder / _CURRENT).readlink().name
    except OSError:
        return ""


def in_force(folder: Path, *, generation: int = 1) -> Policy:
    """Return the policy in force.

    Raises:
        PolicyError: there is none, or its copy was damaged.
    """
    version = version_in_force(folder)
    if not version:
        raise PolicyError("no policy is in force here yet", remedy="run `filterd run` once with this --state")
    return kept(folder, version, generation=generation)


def kept(folder: Path, version: str, *, generation: int = 1) -> Policy:
    """Return a kept version of the policy.

    Raises:
        PolicyError: it is not kept any more, or its copy was damaged.
    """
    home = folder / version
    try:
        manifest = json.loads((home / _MANIFEST).read_bytes())
        files = {name: str(manifest["files"][name]) for name in manifest["files"]}
        calendars = {
            (str(one["layer"]), str(one["written"])): home / str(one["copy"]) for one in manifest["calendars"]
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PolicyError(
            f"version {version} is not kept here", file=home, remedy="see `filterd policy log`"
        ) from error
    layers = LayerFiles(
        home / _BASELINE,
        home / _SCHOOL if _SCHOOL in files else None,
        home / _REGION if _REGION in files else None,
        shown={home / name: shown for name, shown in files.items()},
        calendars=calendars,
    )
    categories = load_categories(home / _CATEGORIES, shown=files.get(_CATEGORIES, ""))
    policy = merge_layers(read_layers(layers), categories, generation=generation)
    if policy.version != version:
        raise PolicyError(f"the copy of version {version} was changed", file=home, remedy="undo to another")
    return policy


def versions(folder: Path) -> list[str]:
    """Return the kept versions, the one kept last first."""
    homes = [home for home in folder.glob("[0-9a-f]" * 12) if (home / _MANIFEST).is_file()]
    return [home.name for home in sorted(homes, key=lambda home: -home.stat().st_mtime_ns)]


def _is_whole(folder: Path, version: str) -> bool:
    with contextlib.suppress(FilterdError):
        kept(folder, version)
        return True
    return False


def _write(folder: Path, made: Draft) -> None:
    home = Path(tempfile.mkdtemp(dir=folder, prefix=".new-"))
    try:
        names: dict[str, str] = {}
        for name, shown, text in _texts(made):
            _write_durably(home / name, text)
            names[name] = shown
        calendars = []
        for number, ((layer, written), text) in enumerate(sorted(made.layers.calendars.items())):
            copy = f"calendar-{number}.ics"
            _write_durably(home / copy, text)
            calendars.append({"layer": layer, "written": written, "copy": copy})
        manifest = {"format": 1, "version": made.policy.version, "files": names, "calendars": calendars}
        _write_durably(home / _MANIFEST, json.dumps(manifest, ensure_ascii=False, indent=1))
        _sync(home)
        target = folder / made.policy.version
        shutil.rmtree(target, ignore_errors=True)
        home.rename(target)
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    _sync(folder)


def _texts(made: Draft) -> Iterator[tuple[str, str, str]]:
    categories, layers = made.categories, made.layers
    if categories.source is not None:
        yield _CATEGORIES, categories.source.file, categories.source.text
    for name, catalogue in ((SERVICES, categories.services), (ENGINES, categories.engines)):
        if catalogue.text:
            yield name, name, catalogue.text
    for name, source in ((_BASELINE, layers.baseline), (_REGION, layers.region), (_SCHOOL, layers.school)):
        if source is not None:
            yield name, source.file, source.text


def _forget_oldest(folder: Path) -> None:
    current = version_in_force(folder)
    for version in versions(folder)[KEPT:]:
        if version != current:
            shutil.rmtree(folder / version, ignore_errors=True)
    for left in folder.glob(".new-*"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)


def _write_durably(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
