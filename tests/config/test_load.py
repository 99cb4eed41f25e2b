"""Configuration: defaults, errors with their place, what a child process gets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.config.load import load_config, system_upstreams, undump
from filterd.config.model import endpoint
from filterd.errors import ConfigError, FilterdError
from filterd.server.settings import Endpoint


def written(tmp_path, text):
    path = tmp_path / "filterd.yaml"
    path.write_text(text, "utf-8")
    return path


def test_an_empty_file_is_a_good_configuration(tmp_path):
    config = load_config(written(tmp_path, ""))
    assert [str(one) for one in config.server().listen] == ["127.0.0.1:5353", "[::1]:5353"]
    assert config.catalogue.name == "sources.yaml"
    assert config.baseline.exists()
    assert config.workers >= 1


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("listne: [127.0.0.1:53]\n", ":1:1", "did you mean 'listen'"),
        ("box: box\nlisten:\n  - 127.0.0.1:99999\n", ":3:5", "is not a port"),
        ("listen: [localhost:53]\n", ":1:10", "is not an IP address"),
        ("upstreams: []\n", ":1:", "at least 1"),
        ("cache: {size_mib: 0}\n", ":1:", "greater than or equal to 1"),
        ("zones: {'a..b': [10.0.0.1]}\n", ":1:", "is not a domain name"),
        ("monitor: {zone: Asia/Nowhere}\n", ":1:", "is no time zone"),
    ],
)
def test_an_error_names_file_line_column_and_remedy(tmp_path, text, place, message):
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(f"{path}{place}"), str(caught.value)
    assert message in str(caught.value)


def test_an_option_of_the_command_line_is_named_as_such():
    with pytest.raises(ConfigError, match=r"^command line: .*is not an IP address"):
        load_config(None, {"listen": ["nowhere:53"]})


def test_options_win_over_the_file_and_nested_keys_are_reached(tmp_path):
    path = written(tmp_path, "listen: [127.0.0.5:53]\nmonitor: {retention_days: 7, zone: Asia/Oral}\n")
    config = load_config(path, {"listen": ["127.0.0.6:54"], "monitor.listen": ["127.0.0.7:80"]})
    assert config.server().listen == (Endpoint("127.0.0.6", 54),)
    assert config.model.monitor.retention_days == 7
    assert config.monitor("own", "admin", "s", frozenset()).zone == "Asia/Oral"
    assert config.model.monitor.listen == [Endpoint("127.0.0.7", 80)]


def test_a_child_process_gets_the_same_configuration(tmp_path):
    path = written(tmp_path, "listen: [127.0.0.5:53]\nupstreams: [192.0.2.1]\nstate: st\n")
    config = load_config(path)
    path.write_text("broken: [", "utf-8")  # what is written meanwhile changes nothing
    child = undump(config.dump())
    assert child.server() == config.server()
    assert child.resolver().upstreams == config.resolver().upstreams
    assert child.state.root == tmp_path / "st"


def test_the_filter_is_never_its_own_upstream(tmp_path):
    path = written(tmp_path, "listen: [192.0.2.5:53]\nupstreams: [192.0.2.5, 192.0.2.6, 192.0.2.6:53]\n")
    assert [one.host for one in load_config(path).upstreams()] == ["192.0.2.6"]


def test_upstreams_of_the_system(tmp_path):
    path = tmp_path / "resolv.conf"
    path.write_text("# comment\nsearch school\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\nnameserver\n")
    assert system_upstreams(path) == [Endpoint("192.0.2.1", 53), Endpoint("fe80::1", 53)]
    assert system_upstreams(tmp_path / "missing") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1", Endpoint("127.0.0.1", 53)),
        ("127.0.0.1:5353", Endpoint("127.0.0.1", 5353)),
        ("::1", Endpoint("::1", 53)),
        ("[::1]:5353", Endpoint("::1", 5353)),
    ],
)
def test_addresses_with_and_without_a_port(text, expected):
    assert endpoint(text) == expected
    assert endpoint(str(expected)) == expected


@given(st.text(max_size=200))
def test_whatever_is_written_is_a_configuration_or_an_error_with_a_remedy(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("config") / "filterd.yaml"
    path.write_text(text, "utf-8", errors="replace")
    complaint = "filterd.yaml"
    try:
        load_config(path)
    except FilterdError as error:
        complaint = str(error)
    assert re.search(r"filterd\.yaml", complaint)


def test_the_shipped_files_are_found():
    config = load_config(None)
    for path in (config.baseline, config.school, config.categories, config.catalogue):
        assert isinstance(path, Path)
        assert path.is_file()
