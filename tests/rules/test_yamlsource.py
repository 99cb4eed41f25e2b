from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from filterd.errors import ConfigError, PolicyError, SourceError
from filterd.rules.yamlsource import MAX_BYTES, MAX_DEPTH, MAX_NODES, load, meant, nearest, parse, validate


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    address: str
    mode: Literal["fast", "slow"] = "fast"


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    port: int = 53
    upstreams: list[Inner] = Field(default_factory=list)
    by_name: dict[str, Inner] = Field(default_factory=dict)
    either: Inner | list[Inner] | None = None


def place(error: SourceError) -> tuple[int, int]:
    return error.line, error.column


def fault(text: str, model: type[BaseModel] = Outer) -> SourceError:
    with pytest.raises(SourceError) as caught:
        validate(model, parse(text, file="x.yaml"))
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12:34:56:10:20:30", "12:34:56:10:20:30"),  # YAML 1.1 would read a number to the base 60
        ("no", "no"),  # ... false
        ("on", "on"),  # ... true
        ("2026-01-01", "2026-01-01"),  # ... a date
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("true", True),
        ("12", 12),
        ("'12'", "12"),
        ("-3", -3),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("10.1.0.0/16", "10.1.0.0/16"),
        (".nan", ".nan"),
        (".inf", ".inf"),
        ("~", None),
        ("", None),
        ("|\n  12\n", "12\n"),
        ("[a, b]", ["a", "b"]),
        ("<<", "<<"),
    ],
)
def test_scalars_as_in_yaml_1_2(text: str, value: object) -> None:
    assert parse(f"key: {text}", file="x").data == {"key": value}


def test_a_byte_order_mark_is_no_content() -> None:
    assert parse(b"\xef\xbb\xbfkey: 1", file="x").data == {"key": 1}


def test_positions_of_values_and_keys() -> None:
    source = parse("a: 1\nlist:\n  - x\n  - key: y\n", file="f.yaml")
    assert str(source.place(("list", 1, "key"))) == "f.yaml:4:10"
    assert str(source.place(("list", 1, "key"), key=True)) == "f.yaml:4:5"
    assert str(source.place(("list", 7, "none"))) == "f.yaml:3:3"  # not there: the nearest above
    assert str(source.place()) == "f.yaml:1:1"


def test_positions_count_characters_not_bytes() -> None:
    source = parse('{kk: "ұйым", ru: x}', file="f.yaml")
    assert source.place(("ru",)).column == 18


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: &x 1\nb: *x\n", 1, 4, "aliases and anchors"),
        ("a: 1\nb: *x\n", 2, 4, "aliases and anchors"),
        ("&k a: 1\n", 1, 1, "aliases and anchors"),
        ("*k : 1\n", 1, 1, "key must be a word"),
        ("a: !!python/object/apply:os.system [x]\n", 1, 4, "tags"),
        ("a: !!str 1\n", 1, 4, "tags"),
        ("a: 1\n---\nb: 2\n", 2, 1, "second document"),
        ("a: 1\nb: 2\na: 3\n", 3, 1, "twice, first at x.yaml:1:1"),
        ("? [a, b]\n: 1\n", 1, 3, "key must be a word"),
        ("a: [1\n", 2, 1, "not YAML"),
        ("a: 1\n b: 2\n", 2, 3, "not YAML"),
        ("a: 'x\n", 2, 1, "not YAML"),
        ("a: @x\n", 1, 4, "not YAML"),
        ("\ta: 1\n", 1, 1, "not YAML"),
    ],
)
def test_what_is_refused_says_where(text: str, line: int, column: int, words: str) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        parse(text, file="x.yaml")
    assert place(caught.value) == (line, column)
    assert str(caught.value).startswith(f"x.yaml:{line}:{column}: ")


def test_a_billion_laughs_ends_at_the_first_anchor() -> None:
    laughs = "a: &a [x, x]\n" + "".join(
        f"{two}: &{two} [*{one}, *{one}]\n" for one, two in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(SourceError, match="aliases"):
        parse(laughs, file="x.yaml")


@pytest.mark.parametrize(
    "text", ["a: " + "[" * 5000, "a:\n" + "".join(" " * n + "- \n" for n in range(1, 3000))]
)
def test_depth_is_capped(text: str) -> None:
    with pytest.raises(SourceError):
        parse(text, file="x.yaml")
    assert parse("[" * MAX_DEPTH + "]" * MAX_DEPTH, file="x").data


def test_number_of_values_is_capped() -> None:
    with pytest.raises(SourceError, match=f"more than {MAX_NODES}"):
        parse("a: [" + "1, " * MAX_NODES + "]", file="x.yaml")


def test_size_is_capped(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(SourceError, match="larger"):
        load(path)


def test_not_utf8_says_where() -> None:
    with pytest.raises(SourceError, match="not UTF-8") as caught:
        parse(b"a: 1\nb: \xff\n", file="x.yaml")
    assert place(caught.value) == (2, 4)


@pytest.mark.parametrize("char", ["\x00", "\x07", "\x1b", "\x7f", "\ud800", "\ufffe"])
def test_characters_that_no_text_has_are_refused(char: str) -> None:
    with pytest.raises(SourceError, match=f"U\\+{ord(char):04X}") as caught:
        parse(f"a: 1\nb: x{char}\n", file="x.yaml")
    assert place(caught.value) == (2, 5)


def test_a_missing_file_is_an_error_of_the_callers_kind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.yaml", error=ConfigError)
    with pytest.raises(PolicyError, match="cannot be read"):
        load(tmp_path, error=PolicyError)  # a folder


def test_unknown_key_gives_the_nearest_right_word() -> None:
    error = fault("upstreams:\n  - address: a\n    mod: fast\n")
    assert str(error) == "x.yaml:3:5: unknown key 'mod' (did you mean 'mode'?)"
    assert "'upstreams'" in str(fault("upstream: []\n"))
    assert "did you mean 'address'" in str(fault("by_name:\n  x: {adress: a}\n"))


def test_unknown_key_below_a_choice_of_types() -> None:
    assert place(fault("either:\n  adress: a\n")) == (2, 3)
    assert place(fault("either:\n  - {address: a, mode: quick}\n")) == (2, 24)


def test_unknown_word_gives_the_nearest_right_one() -> None:
    assert str(fault("upstreams:\n  - {address: a, mode: slwo}\n")) == (
        "x.yaml:2:24: 'slwo' is not known here (did you mean 'slow'?)"
    )


def test_missing_key_points_to_where_it_belongs() -> None:
    error = fault("upstreams:\n  - mode: fast\n")
    assert "'address' is missing" in str(error)
    assert place(error) == (2, 5)


def test_wrong_type_points_to_the_value() -> None:
    assert place(fault("port: many\n")) == (1, 7)
    assert "quotes" in str(fault("upstreams:\n  - address: 12\n"))
    assert place(fault("- a\n- b\n")) == (1, 1)
    assert place(fault("just words\n")) == (1, 1)


def test_all_faults_are_told_the_first_one_first() -> None:
    error = fault("port: x\nupstreams:\n  - mode: fast\nnothing: 1\n")
    assert place(error) == (1, 7)
    assert [note.split(":")[2] for note in error.__notes__] == ["4", "3"]


def test_an_empty_file_is_an_empty_mapping() -> None:
    assert validate(Outer, parse("# nothing yet\n", file="x")).port == 53


def test_nearest_word() -> None:
    assert nearest("gamling", ["gambling", "games"]) == "gambling"
    assert nearest("zzz", ["gambling", "games"]) is None
    assert meant("zzz", ["b", "a"]) == "known: a, b"


PIECES = """
port upstreams by_name either address mode : - [ ] { } , &a *a !x !!int ' " | > # --- ... ? 12 fast ~ << = @ `
"""
word = st.sampled_from(
    [
        *PIECES.split(),
        " ",
        "\n",
        "  ",
        "%YAML 1.1\n",
        "\t",
        "\r",
        "\ufeff",
        "\x00",
        "\x85",
        "\u2028",
        "é",
        "\ud800",
    ]
)


@settings(max_examples=300)
@given(st.one_of(st.lists(word, max_size=40).map("".join), st.text(max_size=60), st.binary(max_size=60)))
def test_any_text_gives_a_value_or_a_source_error(text: str | bytes) -> None:
    with contextlib.suppress(SourceError):
        validate(Outer, parse(text, file="x.yaml"))
