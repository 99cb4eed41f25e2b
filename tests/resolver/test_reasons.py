from __future__ import annotations

import pytest

from filterd.resolver.reasons import why_blocked
from filterd.rules.verdict import Action, Reason, Verdict


def verdict(reason=Reason.CATEGORY, category="gambling", list_id="a-list", rule="bet.example", layer=None):
    return Verdict(Action.BLOCK, reason, category, list_id, rule, layer)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (verdict(layer="baseline"), 15),
        (verdict(layer="catalogue"), 15),
        (verdict(layer="school"), 17),
        (verdict(layer="group"), 17),
        (verdict(category="extremism", rule=None, layer="baseline"), 16),
        (verdict(category="csam", rule=None, layer="school"), 16),
        (verdict(Reason.NAME_RULE, None, None, "block bet.example (subtree)", "school"), 17),
        (verdict(Reason.REBINDING, None, None, None), 15),
    ],
)
def test_8914_the_code_says_on_whose_behalf(view, given, code):
    assert why_blocked(given, view)[0] == code


def test_the_text_carries_category_and_reference(view):
    assert why_blocked(verdict(), view)[1] == "category: gambling; list: a-list; rule: bet.example"


def test_what_is_not_known_is_left_out(view):
    assert why_blocked(verdict(Reason.NAME_RULE, None, None, "block x"), view)[1] == "rule: block x"
