"""Bundles: what a region puts into one, and how a box takes one: all of it, or nothing.

A box verifies signature, serial and every part, checks policy and catalogue with its own school's layer,
compiles and gates the index, and only then moves two links and asks the running filter to reload. Whatever
fails before that leaves the old bundle serving; whatever fails after it goes back.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from filterd.app.control import ask as ask_filter
from filterd.app.listsnames import names_for, remember
from filterd.app.listsupdate import Shown, allowed_ranges, gate_index, open_fetcher, refusals
from filterd.app.policyfiles import draft
from filterd.config.load import Config
from filterd.config.model import BundleModel
from filterd.errors import BundleError, ConfigError, FetchError, FilterdError, StartError
from filterd.lists import activate, history
from filterd.lists.bundle import Header, Opened, open_bundle, write_bundle
from filterd.lists.bundlefetch import Fetched, fetch_bundle
from filterd.lists.bundlestore import BundleState, BundleStore
from filterd.lists.catalogue import ListSource, load_catalogue
from filterd.lists.history import Event
from filterd.lists.papers import CHOICE
from filterd.lists.shelf import STATE, ListState, Shelf, state_json
from filterd.lists.staged import Patience, Stage, watch
from filterd.lists.worker import Job, compile_in_process
from filterd.rules.categories import ENGINES, SERVICES, load_categories
from filterd.rules.reading import LayerFiles, read_layers

Result = Literal["new", "same", "refused", "failed", "rolled-back"]
_NO_SERIAL: Final = -1  # of a bundle whose header cannot be believed


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of taking a bundle.

    Attributes:
        result: ``new`` (in force now), ``same`` (in force already), ``refused``, ``failed`` (none came),
            ``rolled-back`` (it was in force, and too much was blocked).
        serial: of the bundle in force.
        why: for the last three.
        received: bytes transferred.
    """

    result: Result
    serial: int
    why: str = ""
    received: int = 0

    @property
    def good(self) -> bool:
        """Whether the newest bundle is in force."""
        return self.result in {"new", "same"}


def build(config: Config, target: Path, *, serial: int, region: str, by: str, note: str) -> Header:
    """Write an unsigned bundle of this machine's policy and lists.

    Args:
        config: of the region's machine: it names catalogue, chosen lists, baseline and region layer.
        target: the file to make.
        serial: must be greater than that of every bundle before.
        region: id of the region.
        by: who makes it.
        note: what is new, in a sentence.

    Raises:
        FilterdError: policy or lists are wrong, a chosen list was not fetched, or the file cannot be written.
    """
    draft(config)  # a policy that is wrong here would be refused by every box
    about: dict[str, str | int] = {
        "serial": serial,
        "made_at": int(time.time()),
        "region": region,
        "by": by,
        "note": note,
    }
    return write_bundle(target, dict(_parts(config)), about)


def _parts(config: Config) -> Iterator[tuple[str, bytes | Path]]:
    papers = config.papers
    yield "categories.yaml", papers.categories
    for name in (SERVICES, ENGINES):
        if (beside := papers.categories.with_name(name)).is_file():
            yield name, beside
    yield "sources.yaml", papers.catalogue
    yield CHOICE, papers.choice.to_json()
    yield "exceptions.yaml", papers.exceptions[0]
    yield "popular.txt", config.popular
    yield from _policy_parts(config)
    shelf = Shelf(papers.fetched)
    catalogue = load_catalogue(papers.catalogue, load_categories(papers.categories))
    for source in catalogue.chosen(papers.choice):
        if source.path is not None:
            yield from _local_parts(papers.catalogue.parent, source)
        else:
            yield from _fetched_parts(shelf, source)


def _policy_parts(config: Config) -> Iterator[tuple[str, bytes | Path]]:
    layers = read_layers(LayerFiles(config.baseline, None, config.region))
    yield "policy/baseline.yaml", layers.baseline.text.encode()
    if layers.region is not None:
        yield "policy/region.yaml", layers.region.text.encode()
    texts: dict[str, str] = {}
    for (_, written), text in layers.calendars.items():
        if texts.setdefault(written, text) != text:
            raise BundleError(f"two calendars are called {written!r}", remedy="rename one of them")
    for written, text in texts.items():
        yield f"policy/{written}", text.encode()


def _local_parts(base: Path, source: ListSource) -> Iterator[tuple[str, bytes | Path]]:
    path = source.path or ""
    found = base / path
    if found.is_dir():
        for file in sorted(found.rglob("*")):
            if file.is_file():
                yield f"{path}/{file.relative_to(found).as_posix()}", file
    else:
        yield path, found


def _fetched_parts(shelf: Shelf, source: ListSource) -> Iterator[tuple[str, bytes | Path]]:
    good = shelf.state(source.id).good
    if good is None:
        raise BundleError(
            f"list {source.id} was not fetched yet",
            remedy="run `filterd lists update`, or take it out of the choice",
        )
    path = shelf.path(source, good)
    home = f"fetched/{source.id}"
    yield f"{home}/{STATE}", state_json(ListState(good=good, tried_at=good.confirmed_at))
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        yield f"{home}/{good.name}/{file.name}", file


def settings(config: Config) -> BundleModel:
    """Return where bundles come from and whose signature counts.

    Raises:
        ConfigError: the configuration names none.
    """
    found = config.model.lists.bundle
    if found is None:
        raise ConfigError(
            "no bundle is configured", remedy="write lists.bundle with url and keys in filterd.yaml"
        )
    return found


def take(
    config: Config, file: Path | None = None, *, watched: float | None = None, shown: Shown | None = None
) -> Taken:
    """Take the region's bundle: verify, gate, put in force; never a part of it.

    Args:
        config: of the box.
        file: a bundle that came by hand; None: fetch it, if it changed.
        watched: seconds to watch refusals afterwards; None: as configured.
        shown: where progress goes.

    Raises:
        FilterdError: the configuration is wrong, or the state folder cannot be written.
    """
    settings(config)
    shown = shown or Shown()
    store = BundleStore(config.state.bundles)
    seconds = config.model.lists.update.watch if watched is None else watched
    try:
        found = Fetched(file) if file is not None else _fetch(config, store, shown)
    except FetchError as error:
        return _not_taken(store, "failed", error.message, 0)
    if found.path is None:
        return _same(store)
    taken = _look_at(config, store, found.path, seconds=seconds, shown=shown)
    found.settled(store)
    return replace(taken, received=found.received)


def _look_at(config: Config, store: BundleStore, path: Path, *, seconds: float, shown: Shown) -> Taken:
    """Take the bundle in a file if all of it is right; what was transferred is put where it belongs."""
    own = path in {store.part, store.aside}
    keys = list(settings(config).keys)
    try:
        opened = open_bundle(path, keys)
        new = store.is_new(opened)
    except BundleError as error:
        if own:
            store.forget_transfers()
        return _not_taken(store, "refused", error.message, _NO_SERIAL)
    if not new:
        store.forget_transfers()
        store.save(replace(store.state(), refused=0, why=""))
        return _same(store)
    try:
        taken = _put_in_force(config, store, opened, seconds, shown)
    except FilterdError as error:
        if own:
            store.put_aside(path)
        return _not_taken(store, "refused", str(error), opened.header.serial)
    store.forget_transfers()
    return taken


def _fetch(config: Config, store: BundleStore, shown: Shown) -> Fetched:
    async def fetch() -> Fetched:
        hosts = names_for(config, allowed_ranges(config))
        async with open_fetcher(config, hosts) as fetcher:
            found = await fetch_bundle(
                store,
                fetcher,
                settings(config).url,
                progress=lambda done, total: shown.fetching("bundle", done, total),
            )
        remember(config.state.fetched, hosts.pinned)
        return found

    shown.phase("fetching")
    return asyncio.run(fetch())


def _same(store: BundleStore) -> Taken:
    state = store.state()
    if state.refused:  # what the server has is still what was refused here
        return Taken("refused", state.serial, state.why)
    if state.why:
        store.save(replace(state, why=""))
    return Taken("same", state.serial)


def _not_taken(store: BundleStore, result: Result, why: str, serial: int) -> Taken:
    state = store.state()
    store.save(replace(state, refused=serial or state.refused, why=why, tried_at=int(time.time())))
    return Taken(result, state.serial, why)


def _put_in_force(config: Config, store: BundleStore, opened: Opened, seconds: float, shown: Shown) -> Taken:
    """Check a new bundle as a whole and switch to it.

    Raises:
        FilterdError: something in it is wrong; the old one serves.
    """
    serial, folder = opened.header.serial, config.state.lists
    shown.phase("verifying")
    with store.unpacked(opened) as place:
        try:
            version = _compiled(config, place, shown)
        except FilterdError as error:  # it would name files of a folder that is gone when somebody reads it
            raise BundleError(f"bundle {serial}: {str(error).replace(f'{place}/', '')}") from error
        home = store.keep(place, serial)
    before = _Before(store.current(), activate.current_version(folder) or "", store.state())
    counted = refusals(config) if seconds else None
    _switch(config, store, home, version, f"bundle {serial}")
    header = opened.header
    state = store.state()
    now = int(time.time())
    known = BundleState(serial, opened.digest, header.region, header.made_at, now, tried_at=now)
    store.save(replace(known, url=state.url, etag=state.etag, last_modified=state.last_modified))
    if counted is not None and before.index:
        stage = Stage(
            Job(config.papers, folder), lambda _path: (), lambda: refusals(config), Patience(seconds)
        )
        if trouble := watch(stage, counted, version):
            _go_back(config, store, before, f"bundle {serial}: {trouble}")
            return _not_taken(store, "rolled-back", trouble, serial)
    store.prune()
    return Taken("new", serial)


def _compiled(config: Config, place: Path, shown: Shown) -> str:
    """Check policy and lists of an unpacked bundle as this box would use them; return the version made.

    Raises:
        FilterdError: something is wrong.
    """
    trial, folder = replace(config, trial=place), config.state.lists
    draft(trial)  # with this school's own layer: it must fit below the region's
    shown.phase("compiling")
    report = compile_in_process(Job(trial.papers, folder, switch=False), shown.compiling)
    version = report.version if report is not None else ""
    problems = gate_index(trial, load_categories(trial.papers.categories), folder / version / activate.INDEX)
    if problems:
        shutil.rmtree(folder / version, ignore_errors=True)
        raise BundleError("; ".join(problems))
    return version


@dataclass(frozen=True, slots=True)
class _Before:
    """What was in force before a bundle."""

    home: Path | None
    index: str
    state: BundleState


def _switch(config: Config, store: BundleStore, home: Path, version: str, why: str) -> None:
    """Move both links and let the running filter take the policy; go back when it does not."""
    folder = config.state.lists
    before = _Before(store.current(), activate.current_version(folder) or "", store.state())
    store.switch(home)
    try:
        activate.activate(folder, version)
        history.write(folder, Event(int(time.time()), "activated", version, before.index, why=why))
        reload_filter(config, why)
    except FilterdError:
        _go_back(config, store, before, f"{why} was refused by the running filter")
        raise


def _go_back(config: Config, store: BundleStore, before: _Before, why: str) -> None:
    folder = config.state.lists
    now = activate.current_version(folder) or ""
    store.switch(before.home)
    state = before.state
    fetched = store.state()  # what the server has stays known: it is not fetched again and again
    store.save(replace(state, url=fetched.url, etag=fetched.etag, last_modified=fetched.last_modified))
    if before.index and before.index != now:
        activate.activate(folder, before.index)
        history.write(folder, Event(int(time.time()), "rolled-back", now, before.index, why=why))
    reload_filter(config, why)


def reload_filter(config: Config, why: str) -> None:
    """Ask the running filter to take the policy; nothing runs here: it will at its start.

    Raises:
        FilterdError: it refused.
    """
    try:
        ask_filter(config.state.control, "reload", by=f"filterd (uid {os.getuid()})", why=why)
    except StartError:
        return


def show(config: Config) -> BundleState:
    """Return what is known of this box's bundles."""
    return BundleStore(config.state.bundles).state()
