"""The catalogue that ships: one local list for each category, public lists with address and licence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from filterd.lists.catalogue import Catalogue
from filterd.lists.papers import Choice


def test_every_category_has_exactly_one_local_list(
    catalogue: Catalogue, categories: Mapping[str, Any]
) -> None:
    assert sorted(one.category for one in catalogue.sources if one.origin == "local") == sorted(categories)


def test_local_lists_are_named_after_their_category(catalogue: Catalogue) -> None:
    for one in catalogue.sources:
        if one.origin == "local":
            assert one.id == f"local-{one.category.replace('_', '-')}"
            assert one.path == f"local/{one.category}.txt"
            assert one.format == "domains"
            assert one.licence == "Apache-2.0"
            assert one.enabled


def test_public_lists_fill_known_categories(catalogue: Catalogue, categories: Mapping[str, Any]) -> None:
    assert {one.category for one in catalogue.sources} <= set(categories)


def test_categories_name_the_public_lists_that_fill_them(
    catalogue: Catalogue, categories: Mapping[str, Any]
) -> None:
    """The categories say "no source" to people by this, so both files must say the same (R2)."""
    found = {
        name: [one.id for one in catalogue.sources if one.origin == "public" and one.category == name]
        for name in categories
    }
    assert {name: sorted(one["sources"]) for name, one in categories.items()} == {
        name: sorted(ids) for name, ids in found.items()
    }


def test_public_lists_wait_until_a_set_or_an_admin_chooses_them(catalogue: Catalogue) -> None:
    public = [one for one in catalogue.sources if one.origin == "public"]
    assert public
    for one in public:
        assert one.url is not None
        assert one.homepage is not None
        assert not one.enabled
        assert one.limits is not None
        assert one.limits.min_entries, f"{one.id}: a stub must not pass for the list"


def test_a_new_box_takes_the_set_whose_licences_are_clear(catalogue: Catalogue) -> None:
    assert [name for name, one in catalogue.sets.items() if one.default] == ["school-default"]
    chosen = [one for one in catalogue.chosen(Choice()) if one.origin == "public"]
    assert len(chosen) > 25
    assert [one.id for one in chosen if "verified" in one.licence] == []


def test_lists_to_be_reviewed_first_are_in_no_set(catalogue: Catalogue) -> None:
    """Allow lists of strangers outrank block lists; the others were seen to err."""
    reviewed = {
        "ut1-child",
        "ut1-sexual-education",
        "ut1-update",
        "ut1-chat",
        "ut1-sect",
        "shadowwhisperer-shock",
    }
    for one in catalogue.sets.values():
        assert reviewed.isdisjoint(one.lists)


def test_every_category_that_has_a_public_list_has_one_in_the_strict_set(
    catalogue: Catalogue, categories: Mapping[str, Any]
) -> None:
    filled = {one.category for one in catalogue.chosen(Choice(("strict",))) if one.origin == "public"}
    wanted = {name for name, one in categories.items() if one["sources"] and not name.startswith("allow_")}
    # Only lists to be reviewed, or off by default, are known for these.
    assert wanted - filled == {"cults", "stranger_chat", "violence", "misinfo"}


def test_no_public_list_fills_an_illegal_category(
    catalogue: Catalogue, categories: Mapping[str, Any]
) -> None:
    """Illegal content comes under licence or from the authorities, never from a public file."""
    illegal = {name for name, one in categories.items() if one["severity"] == "illegal"}
    assert illegal
    assert not {one.category for one in catalogue.sources if one.origin == "public"} & illegal


def test_public_allow_lists_are_the_reviewed_ones(catalogue: Catalogue) -> None:
    """An allow list outranks block lists, so each public one is a decision and not an accident."""
    allowing = {
        one.id for one in catalogue.sources if one.origin == "public" and one.category.startswith("allow_")
    }
    assert allowing == {"ut1-child", "ut1-sexual-education", "ut1-update"}


def test_attribution_is_given_where_the_licence_asks_for_it(catalogue: Catalogue) -> None:
    for one in catalogue.sources:
        if one.licence.startswith("CC-BY"):
            assert one.attribution
            assert "CC BY" in one.attribution


def test_ut1_lists_name_their_folder(catalogue: Catalogue) -> None:
    for one in catalogue.sources:
        if one.format == "ut1":
            assert one.folder
            assert one.url == f"https://dsi.ut-capitole.fr/blacklists/download/{one.folder}.tar.gz"


def test_no_address_is_fetched_twice(catalogue: Catalogue) -> None:
    urls = [one.url for one in catalogue.sources if one.url]
    assert len(urls) == len(set(urls))
