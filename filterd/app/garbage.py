"""When a process that answers lookups collects its garbage: never in the middle of them."""

from __future__ import annotations

import gc


def tidy() -> None:
    """Collect garbage among what is new since the last call, and never look at the survivors again.

    The collector's own timing would look through the whole cache and memo, tens of milliseconds at once, in
    the middle of lookups. What is frozen is still freed by its reference count.
    """
    gc.collect()
    gc.freeze()


def tidy_all() -> None:
    """Collect garbage among everything: rings that closed after they were frozen."""
    gc.unfreeze()
    tidy()
