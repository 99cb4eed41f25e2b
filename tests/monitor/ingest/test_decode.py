from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.events.batch import MAX_BATCHES, Delivery
from filterd.monitor.ingest import decode
from filterd.monitor.problems import Problem
from filterd.monitor.settings import MonitorLimits

LIMITS = MonitorLimits(json_bytes=100_000, json_values=5000)


def parse(value: Any) -> Delivery:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return decode.parse(text, box="box1", school="school-1", limits=LIMITS)


def refused(value: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        parse(value)
    return caught.value


def test_a_delivery_as_boxes_send_it(make: Any) -> None:
    found = parse(make.delivery(make.batch(1), make.batch(7), health=make.health()))
    assert [batch.sequence for batch in found.batches] == [1, 7]
    assert found.batches[0].events[0].name == "www.casino.example"
    assert found.health is not None
    assert found.health.values == {"cache_entries": 3}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b'{"a": "\\ud800"}',
        b"[" * 50,
        b"1" * 6000,
        b"{} {}",
        '{"a":"\udcff"}'.encode("utf-8", "surrogateescape"),
    ],
)
def test_no_json_is_400(text: bytes) -> None:
    problem = refused(text)
    assert (problem.status, problem.code) == (400, "bad-json")


@pytest.mark.parametrize("value", [None, 1, "x", [], [[]], {}, {"box": "box1"}, {"batches": []}])
def test_no_delivery_is_422(value: object) -> None:
    assert refused(value).status == 422


@pytest.mark.parametrize(
    "change",
    [
        {"box": 1}, {"school": None}, {"stream": "x"}, {"stream": "0" * 33}, {"extra": 1}, {"health": 1},
        {"health": {"at": 1}}, {"batches": None}, {"batches": {}}, {"batches": "x"},
        {"batches": [{}] * (MAX_BATCHES + 1)},
    ],
)  # fmt: skip
def test_a_wrong_frame_is_422_and_names_no_sequence(make: Any, change: dict[str, Any]) -> None:
    problem = refused(make.delivery(make.batch(1)) | change)
    assert problem.status == 422
    assert "sequence" not in problem.extra


@pytest.mark.parametrize(
    ("box", "school"), [("box2", "school-1"), ("box1", "school-2"), ("nobody", "school-1")]
)
def test_another_box_or_school_is_403(make: Any, box: str, school: str) -> None:
    problem = refused(make.delivery(make.batch(1), box=box, school=school))
    assert (problem.status, problem.code) == (403, "foreign-box")


@pytest.mark.parametrize(
    "change",
    [
        {"bucket": 301}, {"bucket": -300}, {"bucket": 1e3}, {"bucket": "300"}, {"bucket": True},
        {"bucket": 2**41}, {"count": 0}, {"count": 1.5}, {"count": 10**30},
        {"name": ""}, {"name": "x" * 1101},
        {"pseudonym": "ABC"}, {"group": "x" * 65}, {"group": ""}, {"verdict": "allow"}, {"list": None},
        {"surprise": 1}, {"rule": ["x"]},
    ],
)  # fmt: skip
def test_one_bad_event_refuses_all_and_names_its_batch(make: Any, change: dict[str, Any]) -> None:
    problem = refused(
        make.delivery(make.batch(3), make.batch(4, [make.event(), make.event(**change)]), make.batch(5))
    )
    assert (problem.status, problem.extra["sequence"]) == (422, 4)


def test_a_missing_field_is_named_by_its_place(make: Any) -> None:
    event = make.event()
    del event["tier"]
    problem = refused(make.delivery(make.batch(4, [event])))
    assert problem.extra["faults"] == [{"place": "batches.0.events.0.tier", "fault": "Field required"}]


@pytest.mark.parametrize(
    "change", [{"hour": 3601}, {"queries": 0}, {"outcome": "eaten"}, {"category": "Ä"}, {"x": 1}]
)
def test_bad_usage_names_its_batch(make: Any, change: dict[str, Any]) -> None:
    assert refused(make.delivery(make.batch(9, [], [make.usage(**change)]))).extra["sequence"] == 9


@pytest.mark.parametrize("sequences", [(2, 1), (1, 1), (5, 6, 6)])
def test_sequences_must_ascend(make: Any, sequences: tuple[int, ...]) -> None:
    problem = refused(make.delivery(*(make.batch(n) for n in sequences)))
    assert (problem.status, problem.code, problem.extra["sequence"]) == (422, "bad-order", sequences[-1])


@pytest.mark.parametrize("sequence", [0, -1, 2**53 + 1, "1", None, True, 1.0, [1]])
def test_a_sequence_that_is_none_is_not_echoed(make: Any, sequence: object) -> None:
    problem = refused(make.delivery(make.batch(1) | {"sequence": sequence}))
    assert problem.status == 422
    assert "sequence" not in problem.extra


def test_nothing_that_was_sent_is_echoed(make: Any) -> None:
    said = "aliya-from-class-7"
    for event in (
        make.event(name=said * 100),
        make.event(**{said: 1}),
        make.event(pseudonym=said.upper()),
    ):
        assert said not in json.dumps(refused(make.delivery(make.batch(1, [event]))).document()).lower()


def test_many_faults_are_told_in_a_few_words(make: Any) -> None:
    problem = refused(make.delivery(make.batch(1, [{}] * 400)))
    assert len(json.dumps(problem.document())) < 2000


def test_too_many_values_are_refused_before_they_become_objects() -> None:
    for text in (b"[" + b"1," * 6000 + b"1]", b"[" + b"{}," * 6000 + b"1]", b"[" * 6000):
        assert refused(text).status == 413


@pytest.mark.parametrize("encoding", ["", "identity", "gzip", "x-gzip"])
def test_unpack(encoding: str) -> None:
    body = gzip.compress(b"{}") if "gzip" in encoding else b"{}"
    assert decode.unpack(body, encoding, LIMITS) == b"{}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"\x1f\x8b",
        gzip.compress(b"{}")[:-1],
        gzip.compress(b"{}") + b"x",
        gzip.compress(b"{}") * 2,
    ],
)
def test_bad_gzip_is_400(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        decode.unpack(body, "gzip", LIMITS)
    assert (caught.value.status, caught.value.code) == (400, "bad-gzip")


def test_a_gzip_bomb_stops_at_the_limit() -> None:
    bomb = gzip.compress(b" " * 200_000_000, 9)
    with pytest.raises(Problem) as caught:
        decode.unpack(bomb, "gzip", LIMITS)
    assert (caught.value.status, caught.value.code) == (413, "too-large")


def test_exactly_the_limit_is_let_in() -> None:
    assert len(decode.unpack(gzip.compress(b" " * LIMITS.json_bytes), "gzip", LIMITS)) == LIMITS.json_bytes
    with pytest.raises(Problem):
        decode.unpack(gzip.compress(b" " * (LIMITS.json_bytes + 1)), "gzip", LIMITS)


@pytest.mark.parametrize(
    ("kind", "encoding"),
    [("text/plain", ""), ("", ""), ("application/json", "br"), ("application/json", "deflate")],
)
def test_other_kinds_of_body_are_415(kind: str, encoding: str) -> None:
    with pytest.raises(Problem) as caught:
        decode.check_headers(kind, encoding)
    assert caught.value.status == 415
    assert caught.value.remedy


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def status_of(body: bytes, encoding: str = "") -> int:
    try:
        decode.parse(decode.unpack(body, encoding, LIMITS), box="box1", school="school-1", limits=LIMITS)
    except Problem as problem:
        return problem.status
    return 200


@given(st.binary(max_size=200), st.sampled_from(["", "gzip"]))
def test_any_bytes_give_a_delivery_or_a_problem(body: bytes, encoding: str) -> None:
    assert status_of(body, encoding) in {200, 400, 403, 413, 422}


@given(st.data())
def test_any_json_in_any_place_gives_a_delivery_or_a_problem(data: st.DataObject) -> None:
    keys = st.sampled_from(["box", "school", "stream", "batches", "health", "other"])
    value = {"box": "box1", "school": "school-1", "stream": "0" * 32, "batches": [], "health": None}
    value |= data.draw(st.dictionaries(keys, JSON, max_size=2))
    assert status_of(json.dumps(value).encode()) in {200, 400, 403, 413, 422}


@pytest.mark.parametrize("field", ["version", "policy_version", "index_version"])
def test_versions_are_printable(make: Any, field: str) -> None:
    assert refused(make.delivery(health=make.health(**{field: "a\nb"}))).status == 422


@given(st.data())
def test_any_json_in_the_optional_fields_gives_a_delivery_or_a_problem(data: st.DataObject) -> None:
    small = st.integers(-1, 7200) | st.sampled_from([3600, 2**41, 4095, 4096]) | JSON
    alive = st.lists(st.fixed_dictionaries({"hour": small, "steps": small}) | JSON, max_size=3)
    names = ("at", "tested", "failed", "no_source", "learning_tested", "learning_answered", "error", "x")
    selftest = st.none() | JSON | st.dictionaries(st.sampled_from(names), small, max_size=8)
    batch = {"sequence": 1, "events": [], "usage": [], "alive": data.draw(alive | JSON)}
    health = {"at": 1, "started": 1, "version": "", "policy_version": "", "index_version": "", "values": {}}
    delivery = {"box": "box1", "school": "school-1", "stream": "0" * 32, "batches": [batch]}
    delivery["health"] = health | {"selftest": data.draw(selftest)}
    assert status_of(json.dumps(delivery).encode()) in {200, 422}
