"""Random numbers nobody can foresee, drawn from the kernel a page at a time (RFC 5452 section 9.2)."""

from __future__ import annotations

import secrets

_PAGE = 4096  # bytes a draw: a system call for every few hundred queries


class Dice:
    """A supply of random bytes; each byte is given out once."""

    def __init__(self) -> None:
        self._page = b""
        self._at = 0

    def roll(self, size: int) -> int:
        """Return a random number of ``size`` bytes, at most a page."""
        end = self._at + size
        if end > len(self._page):
            self._page = secrets.token_bytes(_PAGE)
            self._at, end = 0, size
        number = int.from_bytes(self._page[self._at : end])
        self._at = end
        return number
