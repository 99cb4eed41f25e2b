"""From the parts of an HTTP request to a DNS message: whatever comes, a message or a status (RFC 8484)."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterd.server.doh import MAX_BODY, MAX_TARGET, BadRequest, check_head

PATH = b"/dns-query"
POST = [(b"content-type", b"application/dns-message")]


def status(*args):
    with pytest.raises(BadRequest) as caught:
        check_head(*args)
    return caught.value.status


@given(st.binary(max_size=1400))
def test_every_message_comes_through_base64url(message):
    text = base64.urlsafe_b64encode(message).rstrip(b"=")
    target = PATH + b"?dns=" + text
    if message:
        assert check_head(b"GET", target, [], PATH) == message
    else:
        assert status(b"GET", target, [], PATH) == 400


@given(
    st.binary(max_size=1400), st.sampled_from([b"=", b"==", b"+", b"/", b"%3D", b" ", b"\n", b"."]), st.data()
)
def test_nothing_but_base64url_without_padding(message, bad, data):
    text = base64.urlsafe_b64encode(message).rstrip(b"=")
    at = data.draw(st.integers(0, len(text)))
    assert status(b"GET", PATH + b"?dns=" + text[:at] + bad + text[at:], [], PATH) == 400


@given(
    st.binary(max_size=12) | st.sampled_from([b"GET", b"POST"]),
    st.binary(max_size=3000) | st.binary(max_size=100).map(lambda rest: PATH + b"?" + rest),
    st.lists(
        st.tuples(st.sampled_from([b"content-type", b"content-length", b"x"]), st.binary(max_size=30))
        | st.sampled_from(POST),
        max_size=5,
    ),
)
def test_whatever_comes_is_a_message_or_a_status(method, target, headers):
    try:
        found = check_head(method, target, headers, PATH)
    except BadRequest as error:
        refused = error
    else:
        assert (found is None) == (method == b"POST")
        return
    assert refused.status in (400, 404, 405, 413, 414, 415)
    assert dict(refused.headers)[b"content-length"] == str(len(refused.body)).encode()


@pytest.mark.parametrize(
    "kind", [b"application/dns-message", b"Application/DNS-Message", b"application/dns-message; charset=x"]
)
def test_media_types_that_are_meant(kind):
    assert check_head(b"POST", PATH, [(b"content-type", kind)], PATH) is None


def test_two_media_types_are_none():
    assert status(b"POST", PATH, POST * 2, PATH) == 415


@pytest.mark.parametrize(
    ("length", "fits"), [(b"0", True), (b"65535", True), (b"65536", False), (b"-1", False), (b"1e3", False)]
)
def test_announced_sizes(length, fits):
    headers = [*POST, (b"content-length", length)]
    if fits:
        assert int(length) <= MAX_BODY
        assert check_head(b"POST", PATH, headers, PATH) is None
    else:
        assert status(b"POST", PATH, headers, PATH) == 413


def test_a_uri_too_long():
    assert status(b"GET", PATH + b"?dns=" + b"A" * MAX_TARGET, [], PATH) == 414


def test_other_variables_are_ignored():
    """RFC 6570: a client may add what it likes, and we look at one."""
    assert check_head(b"GET", PATH + b"?ct&dns=AAAA&x=1", [], PATH) == bytes(3)
