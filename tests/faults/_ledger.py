"""What was found committed at any time: in an outbox, or in the endpoint's store. The promise to be kept."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections import Counter
from pathlib import Path

from _product import Product, reading, stored


class Ledger:
    """Remembers every committed event that was ever seen.

    A batch is the same for ever by outbox (stream) and sequence; so it counts once, however often it is seen.

    Attributes:
        looks: how often something was looked at.
    """

    def __init__(self) -> None:
        self.looks = 0
        self._batches: dict[tuple[str, int], Counter[str]] = {}
        self._stored: Counter[str] = Counter()

    def look(self, product: Product, *, dead: bool = False) -> None:
        """Read the outboxes and then the store: what moves meanwhile is seen twice, never not at all.

        Args:
            product: whose.
            dead: no process has the files open: copies are read, so that looking repairs nothing.
        """
        self.looks += 1
        if not dead:
            self._look(product.outboxes, product.store)
            return
        with tempfile.TemporaryDirectory() as folder:
            copies = Path(folder)
            for path in (*product.outboxes.glob("*.outbox*"), *product.state.glob(f"{product.store.name}*")):
                if not path.name.endswith("-shm"):
                    shutil.copy(path, copies)
            self._look(copies, copies / product.store.name)

    def promised(self) -> Counter[str]:
        """Return the least count that each name must have in the store in the end."""
        total: Counter[str] = Counter()
        for counts in self._batches.values():
            total.update(counts)
        return total | self._stored  # by name the greater of both

    def _look(self, outboxes: Path, store: Path) -> None:
        for path in sorted(outboxes.glob("*.outbox")):
            try:
                with reading(path) as connection:
                    (stream,) = connection.execute("SELECT stream FROM meta").fetchone()
                    rows = connection.execute(
                        "SELECT sequence, payload FROM batches WHERE kind = 0"
                    ).fetchall()
            except sqlite3.OperationalError:  # killed before the file had its schema: nothing is promised
                continue
            for sequence, payload in rows:
                if (stream, sequence) not in self._batches:
                    self._batches[stream, sequence] = _counts(payload)
        try:
            self._stored |= stored(store)
        except sqlite3.OperationalError:
            assert not self._stored, "the store is gone"


def _counts(payload: bytes) -> Counter[str]:
    counts: Counter[str] = Counter()
    for event in json.loads(payload)["events"]:
        counts[event["name"]] += event["count"]
    return counts
