"""Replies remembered by the bytes of their question, for one view: the fast path's only knowledge.

An entry is what the slow path answered, byte for byte, and how that is counted. It is gone when its TTLs
would be wrong, when the view or the index changes, and when room is needed; a question has to be asked twice
before it is remembered, so a scan of random names pushes nothing out. Never decides and never parses.
"""

from __future__ import annotations

from collections import defaultdict

from filterd.rules.verdict import Verdict
from filterd.rules.view import View

MAX_ENTRIES = 60_000  # of all views together; about 25 MB
_MAX_SEEN = 60_000
_MAX_REPLY = 600  # bytes: larger replies are rare and would take the place of many

# What is recorded of a block, the client apart: view, name, qtype, verdict.
Blocked = tuple[View, bytes, int, Verdict]
# The reply after its id; the cell in which it is counted; what is recorded, if it is a block.
Entry = tuple[bytes, list[int], Blocked | None]


class Memo:
    """The entries of one view, by the question's bytes after the id."""

    __slots__ = ("entries", "view")

    def __init__(self, view: View) -> None:
        self.view = view
        self.entries: dict[bytes, Entry] = {}


class Memos:
    """The memos of all groups' present views; bounded together.

    Args:
        maximum: entries of all views together.
    """

    def __init__(self, maximum: int = MAX_ENTRIES) -> None:
        self._maximum = maximum
        self._memos: dict[str, Memo] = {}
        self._due: defaultdict[int, list[tuple[dict[bytes, Entry], bytes]]] = defaultdict(list)
        self._next = 0
        self._size = 0
        self._seen: set[int] = set()
        self.evicted = 0

    def __len__(self) -> int:
        return self._size

    def of(self, view: View) -> Memo:
        """Return the memo of a view; that of the view that held for its group before is forgotten."""
        memo = self._memos.get(view.group)
        if memo is None or memo.view is not view:
            if memo is not None:
                self._size -= len(memo.entries)
                memo.entries.clear()  # what is still due of it finds nothing
            memo = self._memos[view.group] = Memo(view)
        return memo

    def offer(
        self, memo: Memo, question: bytes, entry: Entry, now: float, keep: float, *, known: bool = False
    ) -> None:
        """Remember a reply if its question was asked before.

        Args:
            memo: of the view that the reply was made for.
            question: the query after its id.
            entry: the reply after its id, and how it is counted.
            now: monotonic seconds.
            keep: seconds for which the reply is right.
            known: the question was asked before, as the cache shows.
        """
        until = int(now + keep)
        if until <= now or len(entry[0]) > _MAX_REPLY:
            return
        if not (known or self._asked_before(hash((id(memo), question)))):
            return
        if self._size >= self._maximum:
            self._make_room()
        if question not in memo.entries:
            self._size += 1
        memo.entries[question] = entry
        self._due[until].append((memo.entries, question))

    def _asked_before(self, mark: int) -> bool:
        if mark in self._seen:
            return True
        if len(self._seen) >= _MAX_SEEN:
            self._seen.clear()
        self._seen.add(mark)
        return False

    def expire(self, now: float) -> None:
        """Forget what is not right any more at ``now``; called before each batch of questions."""
        second = int(now)
        if second < self._next:
            return
        for due in range(self._next, second + 1) if second - self._next < 128 else sorted(self._due):
            if due > second:
                break
            for entries, question in self._due.pop(due, ()):
                if entries.pop(question, None) is not None:
                    self._size -= 1
        self._next = second + 1

    def clear(self) -> None:
        """Forget everything: the index or the policy changed."""
        self._memos.clear()
        self._due.clear()
        self._size = 0

    def _make_room(self) -> None:
        # What is due first goes first: it would have to be made anew soon anyway.
        wanted = self._maximum // 8
        for due in sorted(self._due):
            for entries, question in self._due.pop(due):
                if entries.pop(question, None) is not None:
                    self._size -= 1
                    self.evicted += 1
                    wanted -= 1
            if wanted <= 0:
                return
