"""Bundles as files: built, signed, opened; and whatever somebody changes in one is noticed."""

from __future__ import annotations

import gzip
import json
import random
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filterd.errors import BundleError
from filterd.lists.bundle import MAGIC, Header, check, contents, open_bundle, sign, write_bundle
from filterd.lists.bundlestore import BundleState, BundleStore
from filterd.lists.signing import PrivateKey, keygen, public_text, read_key, signature_of

ABOUT = {"serial": 7, "made_at": 1_800_000_000, "region": "almaty", "by": "department", "note": ""}
PARTS = {
    "sources.yaml": b"sources: []\n",
    "policy/baseline.yaml": b"format: 1\n",
    "fetched/ut1-gambling/1/domains": b"casino.example\n" * 5000,
    "empty.txt": b"",
}


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture
def build(tmp_path: Path, key: PrivateKey):
    """Return a function: fields of the header, other parts -> a signed bundle."""

    def build(parts=PARTS, name: str = "bundle", signed_by: PrivateKey | None = key, **about) -> Path:
        path = tmp_path / name
        write_bundle(path, parts, {**ABOUT, **about})
        if signed_by is not None:
            sign(path, signed_by, path)
        return path

    return build


def read(path: Path, *keys: PrivateKey) -> dict[str, bytes]:
    opened = open_bundle(path, [public_text(one) for one in keys])
    return {part.name: b"".join(blocks) for part, blocks in contents(opened)}


def test_what_is_put_in_comes_out(build, key):
    path = build()
    opened = open_bundle(path, [public_text(key)])
    assert (opened.header.serial, opened.header.region, opened.header.by) == (7, "almaty", "department")
    check(opened)
    assert read(path, key) == PARTS


def test_a_file_may_be_a_part_and_the_same_content_gives_the_same_bytes(build, key, tmp_path: Path):
    (tmp_path / "list").write_bytes(b"a.example\n" * 1000)
    one = build({"list.txt": tmp_path / "list"}, "one").read_bytes()
    assert build({"list.txt": tmp_path / "list"}, "two").read_bytes() == one
    assert read(tmp_path / "one", key) == {"list.txt": b"a.example\n" * 1000}


def test_a_key_pair_is_for_its_owner_only_and_never_overwritten(tmp_path: Path):
    public = keygen(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert public_text(read_key(tmp_path / "key")) == public
    with pytest.raises(BundleError, match="cannot be written: File exists"):
        keygen(tmp_path / "key")


@pytest.mark.parametrize(
    "content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_key(tmp_path: Path, content):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(BundleError, match="holds no private key"):
        read_key(tmp_path / "key")


def test_a_bundle_nobody_signed(build, key):
    with pytest.raises(BundleError, match="is not signed"):
        read(build(signed_by=None), key)


def test_a_wrong_signature(build, key):
    path = build(signed_by=PrivateKey.generate())
    with pytest.raises(BundleError, match="not signed by a key that is trusted here"):
        read(path, key)


def test_keys_may_change_while_both_are_trusted(build, key):
    new = PrivateKey.generate()
    assert read(build(signed_by=new), key, new) == PARTS


@pytest.mark.parametrize("keys", [["AAAA"], [], ["not base64!"]])
def test_keys_that_are_none_trust_nobody(build, keys):
    with pytest.raises(BundleError, match="not signed by a key that is trusted here"):
        open_bundle(build(), keys)


def test_a_signature_of_another_bundle_does_not_fit(build, key):
    one, two = build(serial=7, name="one").read_bytes(), build(serial=8, name="two")
    lines = two.read_bytes().split(b"\n", 3)
    lines[2] = one.split(b"\n", 3)[2]
    two.write_bytes(b"\n".join(lines))
    with pytest.raises(BundleError, match="not signed by a key"):
        read(two, key)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_no_byte_can_be_changed_unnoticed(build, key, at, change):
    path = build()
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= change
    path.write_bytes(bytes(content))
    try:
        found = read(path, key)
    except BundleError:
        return
    # gzip's own header has bytes that say nothing of the content (its time, its system)
    assert found == PARTS


def test_a_cut_file_is_noticed_wherever_it_is_cut(build, key):
    path = build()
    content = path.read_bytes()
    chance = random.Random(5)
    for at in [0, 5, len(MAGIC), len(content) - 1, *(chance.randrange(len(content)) for _ in range(60))]:
        path.write_bytes(content[:at])
        with pytest.raises(BundleError):
            read(path, key)


def test_a_file_with_something_behind_it(build, key):
    path = build()
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(BundleError, match="longer than its header says"):
        read(path, key)


def forged(path: Path, key: PrivateKey, change) -> Path:
    """Sign what a header must not say: for the day a region makes a mistake."""
    header = json.loads(path.read_bytes().split(b"\n", 2)[1])
    rest = path.read_bytes().split(b"\n", 3)[3]
    change(header)
    path.write_bytes(MAGIC + json.dumps(header).encode() + b"\nunsigned\n" + rest)
    with pytest.raises(BundleError):
        sign(path, key, path)
    line = MAGIC + json.dumps(header).encode() + b"\n"
    path.write_bytes(line + signature_of(line, key) + rest)
    return path


@pytest.mark.parametrize(
    "name",
    ["../etc/passwd", "/etc/passwd", "a/../b", ".hidden", "a//b", "A", "a/b/c/d/e", "x.sh", "", "a\n", "кз"],
)
def test_a_part_may_not_be_called_so(build, key, name):
    path = forged(build(), key, lambda header: header["parts"][0].update(name=name))
    with pytest.raises(BundleError, match="the header says what it may not"):
        read(path, key)
    with pytest.raises(BundleError, match="cannot be the name of a part"):
        build({name: b""})


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.update(serial=0),
        lambda header: header.update(extra=1),
        lambda header: header.update(parts=[]),
        lambda header: header["parts"].append(header["parts"][0]),
        lambda header: header["parts"][0].update(size=10**12),
    ],
)
def test_what_a_header_may_not_say(build, key, change):
    path = forged(build(), key, change)
    with pytest.raises(BundleError, match="the header"):
        read(path, key)


def test_a_bomb_in_a_part_stops_at_the_size_it_claims(build, key):
    path = build({"list.txt": b"a"})
    bomb = gzip.compress(bytes(50_000_000), mtime=0)

    def change(header):
        header["parts"][0].update(packed=len(bomb))

    lines = path.read_bytes().split(b"\n", 3)
    path.write_bytes(b"\n".join([*lines[:3], bomb]))
    header = json.loads(lines[1])
    change(header)
    line = MAGIC + json.dumps(header).encode() + b"\n"
    path.write_bytes(line + signature_of(line, key) + bomb)
    with pytest.raises(BundleError, match="larger than the header says"):
        read(path, key)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_are_no_bundle(tmp_path, key, content):
    path = tmp_path / "any"
    path.write_bytes(content if random.Random(len(content)).random() < 0.5 else MAGIC + content)
    with pytest.raises(BundleError):
        read(path, key)


def test_a_part_of_the_wrong_kind_is_never_half_there(build, key, tmp_path):
    store = BundleStore(tmp_path / "bundles")
    path = build()
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    opened = open_bundle(path, [public_text(key)])
    with pytest.raises(BundleError), store.unpacked(opened):
        pass
    assert [entry.name for entry in store.folder.iterdir()] == []


def test_serials_only_grow(build, key, tmp_path):
    store = BundleStore(tmp_path / "bundles")
    keys = [public_text(key)]
    now = open_bundle(build(serial=7, name="seven"), keys)
    assert store.is_new(now)
    store.save(BundleState(serial=7, digest=now.digest))
    assert not store.is_new(now)
    assert store.is_new(open_bundle(build(serial=8, name="eight"), keys))
    with pytest.raises(BundleError, match="bundle 6 is not newer: 7 is in force"):
        store.is_new(open_bundle(build(serial=6, name="six"), keys))
    with pytest.raises(BundleError, match="bundle 7 is not newer: another one of that serial"):
        store.is_new(open_bundle(build(serial=7, name="other", note="another"), keys))


def test_bundles_beside_each_other_and_one_in_force(build, key, tmp_path):
    store = BundleStore(tmp_path / "bundles")
    assert store.current() is None
    for serial in (1, 2, 3):
        opened = open_bundle(build(serial=serial), [public_text(key)])
        with store.unpacked(opened) as place:
            assert (place / "policy" / "baseline.yaml").read_bytes() == b"format: 1\n"
            store.switch(store.keep(place, serial))
    store.prune()
    assert store.current() == store.folder / "3"
    assert sorted(entry.name for entry in store.folder.iterdir()) == ["2", "3", "current"]
    store.switch(store.folder / "2")
    assert store.current() == store.folder / "2"
    store.switch(None)
    assert store.current() is None


def test_a_header_is_a_value(build):
    assert isinstance(Header.model_validate({**ABOUT, "parts": [
        {"name": "a.txt", "size": 1, "packed": 1, "sha256": "0" * 64}
    ]}), Header)  # fmt: skip
