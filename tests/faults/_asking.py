"""Blocked lookups that are answered one by one, and counted."""

from __future__ import annotations

from collections import Counter

from _ask import ask
from _product import Product


class Asking:
    """Asks for numbered blocked names, each answered, and counts them."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.asked: Counter[str] = Counter()

    def some(self, count: int = 20) -> set[str]:
        """Ask for so many new names, each twice; return them."""
        first = len(self.asked)
        names = [f"f{number}.1xbet.com" for number in range(first, first + count)]
        for name in names:
            for rdtype in ("A", "AAAA"):
                assert ask(self.product.v4, name, rdtype).blocked
            self.asked[name] += 2
        return set(names)
