"""A box asks for its region's bundle: by conditional requests, so that most boxes on most days get no byte.

Fetches and remembers what the server called the file; believes nothing of it. Verifying is bundle.py's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from filterd.lists.bundle import MAX_BUNDLE
from filterd.lists.bundlestore import BundleStore
from filterd.lists.fetch import Ask, Fetcher, Progress


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a request brought.

    Attributes:
        path: a bundle to look at; None: nothing changed.
        received: bytes transferred.
        url, etag, last_modified: what the server calls it; empty for a file that came by hand.
    """

    path: Path | None
    received: int = 0
    url: str = ""
    etag: str = ""
    last_modified: str = ""

    def settled(self, store: BundleStore) -> None:
        """Remember the file, now that it was taken or refused: it need not come again.

        Not before: a box that loses power while it verifies must ask again.

        Raises:
            BundleError: the folder cannot be written.
        """
        if self.url:
            known = replace(store.state(), url=self.url, etag=self.etag, last_modified=self.last_modified)
            store.save(known)


async def fetch_bundle(
    store: BundleStore,
    fetcher: Fetcher,
    url: str,
    *,
    progress: Progress = lambda _done, _total: None,
    clock: Callable[[], float] = time.time,
) -> Fetched:
    """Fetch the bundle unless it is the one that was fetched last.

    A bundle that was refused is given again although it did not change: what spoke against it (the school's
    own policy, a list of its own) may have.

    Raises:
        FetchError: it did not come; what came of it is kept for the next try.
        BundleError: the folder cannot be written.
    """
    store.make()
    state = store.state()
    etag, modified = (state.etag, state.last_modified) if state.url == url else ("", "")
    got = await fetcher.get(Ask(url, store.part, MAX_BUNDLE, etag, modified), progress)
    if got.same:
        store.save(replace(state, tried_at=int(clock())))
        return Fetched(store.aside if state.refused > 0 and store.aside.is_file() else None)
    return Fetched(store.part, got.received, url, got.etag, got.last_modified)
