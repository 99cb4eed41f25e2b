"""``filterd lists update`` as a whole: fetch, gate, compile, gate again, switch, watch, and tell.

The composition of lists/ with this box's configuration, policy and running filter; decides nothing itself.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from filterd.app.listshealth import write_lists
from filterd.app.listsnames import names_for, remember
from filterd.app.policyfiles import policy_to_ask
from filterd.config.load import Config
from filterd.errors import BadName, DomainIndexError, ListError, OutboxError, StartError
from filterd.events.outboxreader import OutboxReader
from filterd.lists import activate, history
from filterd.lists.addresses import Network, parsed
from filterd.lists.catalogue import load_catalogue
from filterd.lists.compile import Progress
from filterd.lists.fetch import Fetcher, FetchSettings
from filterd.lists.gate import Guarded, judge_index
from filterd.lists.gathering import gather
from filterd.lists.guarding import guarded
from filterd.lists.history import Event
from filterd.lists.popular import load_popular
from filterd.lists.resolving import Names
from filterd.lists.shelf import Copy, Shelf
from filterd.lists.staged import Patience, Refusals, Stage, Staged, stage
from filterd.lists.update import Means, Outcome, accept, update
from filterd.lists.worker import Job
from filterd.rules.categories import Categories, load_categories
from filterd.rules.index import Index
from filterd.rules.yamlsource import meant
from filterd.wire import names

_PRIVATE: Final[tuple[Network, ...]] = (
    *(IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8")),
    *(IPv6Network(text) for text in ("fc00::/7", "::1/128")),
)
_SILENT: Final = 30.0  # seconds after which a DNS process that reports every five is not there any more


@dataclass(frozen=True, slots=True)
class Asked:
    """How an update was asked for.

    Attributes:
        only: ids of the lists to fetch; none: all that are chosen.
        allow_private: take private addresses, whatever the configuration says.
        watch: seconds to watch after the switch; None: as configured.
        fetch: fetch; else only compile, gate and switch what is here.
    """

    only: tuple[str, ...] = ()
    allow_private: bool = False
    watch: float | None = None
    fetch: bool = True


@dataclass(frozen=True, slots=True)
class Shown:
    """Where progress goes.

    Attributes:
        fetching: id of a list, bytes so far, bytes in all (0: not told).
        compiling: a step of the compilation.
        phase: what begins now, in a few words.
    """

    fetching: Callable[[str, int, int], object] = lambda _id, _done, _total: None
    compiling: Callable[[Progress], object] = lambda _step: None
    phase: Callable[[str], object] = lambda _text: None


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update did: one outcome for each fetched list, and what came of the index."""

    outcomes: tuple[Outcome, ...]
    staged: Staged
    status: Mapping[str, Any] = field(default_factory=dict)


def update_lists(config: Config, asked: Asked, shown: Shown = Shown()) -> Updated:
    """Update the lists of this box.

    Raises:
        FilterdError: catalogue, policy or state are wrong; nothing was changed. What is wrong with single
            lists stands in their outcomes.
    """
    categories = load_categories(config.papers.categories)
    outcomes: tuple[Outcome, ...] = ()
    in_use = index_in_use(config)
    try:
        if asked.fetch:
            shown.phase("fetching")
            outcomes = asyncio.run(_fetch(config, categories, in_use, asked, shown))
        shown.phase("compiling")
        staged = activate_staged(config, watch=asked.watch, shown=shown, why=_why(outcomes))
    finally:
        if in_use is not None:
            in_use.close()
    last = {
        "at": int(time.time()),
        "outcomes": [asdict(one) for one in outcomes],
        "result": staged.result,
        "why": staged.why,
        "version": staged.version,
    }
    try:
        status = write_lists(config, last=last)
    except OSError as error:
        raise StartError(f"cannot write {config.state.lists_status}: {error}") from error
    return Updated(outcomes, staged, status)


async def _fetch(
    config: Config, categories: Categories, in_use: Index | None, asked: Asked, shown: Shown
) -> tuple[Outcome, ...]:
    papers = config.papers
    chosen = load_catalogue(papers.catalogue, categories).chosen(papers.choice)
    fetched = {source.id: source for source in chosen if source.url is not None}
    for list_id in asked.only:
        if list_id not in fetched:
            raise ListError(f"no chosen list {list_id!r} is fetched", remedy=meant(list_id, fetched))
    sources = [source for list_id, source in fetched.items() if not asked.only or list_id in asked.only]
    if not sources:
        return ()
    hosts = names_for(config, allowed_ranges(config, private=asked.allow_private))
    async with open_fetcher(config, hosts) as fetcher:
        means = Means(
            shelf=Shelf(papers.fetched),
            fetcher=fetcher,
            categories=categories,
            guarded=guarded_here(config, categories),
            in_use=in_use,
            mirror=config.model.lists.update.mirror or "",
        )
        outcomes = await update(means, sources, shown.fetching)
    remember(papers.fetched, hosts.pinned)
    return outcomes


def activate_staged(
    config: Config,
    *,
    watch: float | None = None,
    shown: Shown = Shown(),
    why: str = "",
) -> Staged:
    """Bring the lists as they are now into use, staged; see `lists.staged`.

    Raises:
        FilterdError: nothing was changed.
    """
    seconds = config.model.lists.update.watch if watch is None else watch
    categories = load_categories(config.papers.categories)
    return stage(
        Stage(
            Job(config.papers, config.state.lists),
            lambda path: gate_index(config, categories, path),
            lambda: refusals(config),
            Patience(seconds=seconds),
        ),
        why=why,
        progress=shown.compiling,
    )


def accept_copy(config: Config, list_id: str, *, by: str, why: str) -> Copy:
    """Take the refused copy of a list as good, because a person looked at it; the history says who.

    Raises:
        ListError: there is no such list, or none of its copies was refused.
        FilterdError: the catalogue is wrong.
    """
    papers = config.papers
    catalogue = load_catalogue(papers.catalogue, load_categories(papers.categories))
    source = catalogue.get(list_id)
    if source is None:
        known = [one.id for one in catalogue.sources]
        raise ListError(f"no list {list_id!r} in the catalogue", remedy=meant(list_id, known))
    shelf = Shelf(papers.fetched)
    problems = "; ".join(shelf.state(list_id).problems)
    copy = accept(shelf, source)
    reason = f"{list_id}: {problems}" + (f" ({why})" if why else "")
    event = Event(
        int(time.time()), "accepted", activate.current_version(config.state.lists) or "", by=by, why=reason
    )
    history.write(config.state.lists, event)
    return copy


def gate_index(config: Config, categories: Categories, path: Path) -> tuple[str, ...]:
    """Return why a new index must not be put in use; nothing: it may.

    Raises:
        FilterdError: the policy or an index cannot be read.
    """
    papers = config.papers
    wanted = [one.id for one in load_catalogue(papers.catalogue, categories).chosen(papers.choice)]
    new, old = Index.open(path), index_in_use(config)
    try:
        return judge_index(new, old, guarded_here(config, categories), categories, wanted)
    finally:
        new.close()
        if old is not None:
            old.close()


def guarded_here(config: Config, categories: Categories) -> Guarded:
    """Return what the gate guards on this box: people's lists, its policy, and the hosts it needs.

    Raises:
        FilterdError: a list, the policy or the file of popular sites cannot be read.
    """
    policy = policy_to_ask(config, at=time.time())
    views = [
        policy.view(group) for group in policy.groups
    ]  # as in lessons: what must be open must be so then
    materials = gather(config.papers, categories, datetime.now().astimezone().date())
    return guarded(materials, categories, views, needed=_needed(config), popular=load_popular(config.popular))


def _needed(config: Config) -> dict[bytes, str]:
    """Return the hosts that this box itself must reach, with the reason."""
    found = {}
    urls = {"this box's endpoint": config.model.delivery.url}
    if config.model.lists.bundle is not None:
        urls["the region's bundle"] = config.model.lists.bundle.url
    for why, url in urls.items():
        host = urlsplit(url).hostname or ""
        if host and parsed(host) is None:
            try:
                found[names.from_text(host)] = why
            except BadName:
                continue
    return found


def index_in_use(config: Config) -> Index | None:
    """Return the index in use, None before the first or when it is damaged: then any good one is better."""
    path = activate.current(config.state.lists)
    try:
        return Index.open(path) if path is not None else None
    except DomainIndexError:
        return None


def refusals(config: Config) -> Refusals | None:
    """Return what the running filter's DNS processes counted, None when none runs here."""
    reports = []
    for path in sorted(config.state.outboxes.glob("*.outbox")):
        reader = OutboxReader(path)
        try:
            found = reader.load(max_batches=1, max_bytes=1).health
        except OutboxError:
            continue
        finally:
            reader.close()
        if found is not None and time.time() - found.at < _SILENT:
            reports.append(found)
    if not reports:
        return None
    return Refusals(
        lookups=int(sum(one.values.get("lookups", 0) for one in reports)),
        blocked=int(sum(one.values.get("lookups_blocked", 0) for one in reports)),
        index_refused=int(sum(one.values.get("index_refused", 0) for one in reports)),
        versions=frozenset(one.index_version for one in reports),
    )


def allowed_ranges(config: Config, *, private: bool = False) -> list[Network]:
    """Return the ranges that may be fetched from although they are not public."""
    return [*config.model.lists.update.allow_private, *(_PRIVATE if private else ())]


def open_fetcher(config: Config, hosts: Names) -> Fetcher:
    """Return a fetcher as the configuration says.

    Raises:
        StartError: the file of authorities cannot be used.
    """
    settings = config.model.lists.update
    context = ssl.create_default_context()
    if config.ca_file is not None:
        try:
            context.load_verify_locations(cafile=config.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise StartError(
                f"{config.ca_file} holds no certificates: {error}", remedy="give a PEM file"
            ) from error
    return Fetcher(hosts, context, FetchSettings(parallel=settings.parallel, time=settings.timeout))


def _why(outcomes: tuple[Outcome, ...]) -> str:
    new = [one.id for one in outcomes if one.result == "new"]
    return f"new copies: {', '.join(new[:10])}" if new else "lists changed"
