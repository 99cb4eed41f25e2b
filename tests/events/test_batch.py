from __future__ import annotations

import pytest
from pydantic import ValidationError

from filterd.events.batch import Delivery, Health, Usage

USAGE = {"hour": 3600, "group": "g", "tier": "t", "category": "", "outcome": "allowed", "queries": 1}


def test_an_event_needs_no_category(event):
    assert event(category="").category == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"client": "10.0.0.7"},
        {"pseudonym": "10.0.0.7"},
        {"pseudonym": "02:00:00:00:00:01"},
        {"group": ""},
        {"group": "Класс"},
        {"group": "g\n"},
        {"verdict": "allow"},
        {"count": 0},
        {"count": "1"},
        {"bucket": 1.5},
        {"name": ""},
        {"rule": "r" * 1101},
    ],
)
def test_an_event_that_is_none_is_refused(event, wrong):
    with pytest.raises(ValidationError):
        event(**wrong)


def test_a_value_does_not_change(event):
    with pytest.raises(ValidationError):
        event().count = 2


@pytest.mark.parametrize("wrong", [{"name": "www.example.kz"}, {"outcome": "perhaps"}, {"queries": -1}])
def test_usage_never_has_a_name(wrong):
    Usage.model_validate(USAGE)
    with pytest.raises(ValidationError):
        Usage.model_validate(USAGE | wrong)


def test_the_number_of_batches_is_bounded():
    batches = [{"sequence": n, "events": [], "usage": []} for n in range(1, 66)]
    whole = {"box": "b", "school": "s", "stream": "0" * 32, "batches": batches[:64]}
    assert len(Delivery.model_validate(whole).batches) == 64
    with pytest.raises(ValidationError):
        Delivery.model_validate(whole | {"batches": batches})


def test_health_has_plain_keys_only(health):
    with pytest.raises(ValidationError):
        Health.model_validate(health.model_dump() | {"values": {"Not A Key": 1.0}})
