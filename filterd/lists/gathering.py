"""What is compiled on this box: the chosen lists of the catalogue with their texts, and the exceptions.

Reads files, touches no network. The same inputs always give the same materials, so that a box can tell
whether its index is of today's lists.
"""

from __future__ import annotations

from datetime import date

from filterd.lists.catalogue import ListSource, Material, load_catalogue, local_material
from filterd.lists.exceptions import Exceptions, load_exceptions
from filterd.lists.papers import Papers
from filterd.lists.shelf import Shelf
from filterd.rules.categories import Categories


def gather(papers: Papers, categories: Categories, today: date) -> list[Material]:
    """Return what to compile.

    Raises:
        ListError: the catalogue, the choice or an exception is wrong; with its place.
    """
    catalogue = load_catalogue(papers.catalogue, categories)
    base, shelf = papers.catalogue.parent, Shelf(papers.fetched)
    found = [
        local_material(source, base) if source.path is not None else fetched(source, shelf)
        for source in catalogue.chosen(papers.choice)
    ]
    return [*found, *exceptions_of(papers, categories).materials(today)]


def exceptions_of(papers: Papers, categories: Categories) -> Exceptions:
    """Return the exceptions of all files.

    Raises:
        ListError: a file is wrong; with its place.
    """
    return Exceptions(
        tuple(one for path in papers.exceptions for one in load_exceptions(path, categories).all)
    )


def fetched(source: ListSource, shelf: Shelf) -> Material:
    """Return a fetched list with its last good copy, without a text when there is none yet."""
    good = shelf.state(source.id).good
    if good is None or not (path := shelf.path(source, good)).exists():
        return Material(source, None)
    return Material(source, path, good.fetched_at)
