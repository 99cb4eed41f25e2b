"""Archives as streams: what tarfile and gzip write is read; what anybody may send never hurts."""

from __future__ import annotations

import contextlib
import gzip
import io
import random
import tarfile
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterd.errors import ListError
from filterd.lists.archive import pieces
from filterd.lists.limits import Bounds

WANTED = ("domains", "urls", "usage")


def read(content: bytes, *, folder: str | None = "gambling", bounds: Bounds | None = None, step: int = 1000):
    """Return the texts of a file that comes in steps."""
    found: dict[str, bytes] = {}
    blocks = (content[at : at + step] for at in range(0, len(content), step))
    for piece in pieces(blocks, wanted=WANTED, folder=folder, bounds=bounds or Bounds()):
        found[piece.file] = found.get(piece.file, b"") + piece.block
    return found


def packed(members: list[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT, mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=form) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


FORMATS = st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
FOLDERS = st.sampled_from(
    ["gambling", "x" * 120 + "/gambling", "./gambling", "a/b/c/gambling", "игры/gambling"]
)


@given(
    st.dictionaries(st.sampled_from(WANTED), st.binary(max_size=3000), min_size=1),
    FORMATS,
    FOLDERS,
    st.sampled_from(["w", "w:gz"]),
    st.integers(1, 4000),
    st.lists(
        st.tuples(st.sampled_from(["gambling/other", "adult/domains", "README"]), st.binary(max_size=2000))
    ),
)
@settings(max_examples=150, deadline=None)
def test_what_tarfile_writes_is_read(texts, form, folder, mode, step, more):  # noqa: PLR0917 - hypothesis
    if form == tarfile.USTAR_FORMAT:
        folder = "gambling"  # it cannot say the others
    members = [*more, *((f"{folder}/{name}", content) for name, content in texts.items())]
    random.Random(1).shuffle(members)
    found = read(packed(members, form, mode), step=step)
    assert {name: found.get(name, b"") for name in texts} == texts


@given(st.binary(max_size=5000), st.integers(1, 700))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_text_or_an_error(content, step):
    try:
        found = read(content, step=step)
    except ListError:
        return
    assert found == {"domains": content} or not content or content[:2] == b"\x1f\x8b"


GOOD = packed([("gambling/domains", b"a.example\n" * 400), ("gambling/urls", b"b\n")], mode="w:gz")
PLAIN = packed([("gambling/domains", b"a.example\n" * 400), ("gambling/urls", b"b\n")])


@given(
    st.sampled_from([GOOD, PLAIN]),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8),
)
@settings(max_examples=300, deadline=None)
def test_a_damaged_archive_is_read_or_an_error(content, changes):
    damaged = bytearray(content)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    with contextlib.suppress(ListError):
        read(bytes(damaged))


@given(st.sampled_from([GOOD, PLAIN[:-5000]]), st.integers(0, 10**6))
@settings(max_examples=200, deadline=None)
def test_a_cut_archive_is_never_taken_for_a_whole_one(content, at):
    cut = content[: at % len(content)]
    if len(cut) < 512 and not cut.startswith(b"\x1f\x8b"):
        return  # too short to be told from a text
    with pytest.raises(ListError):
        read(cut)


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd", "../../domains", "gambling/../../domains", "gambling/../domains", "/domains/..",
        "other/domains", "gambling/domains/deeper", "gambling/.domains", "gambling/DOMAINS",
    ],
)  # fmt: skip
def test_a_member_elsewhere_is_read_over(name):
    found = read(packed([(name, b"evil.example\n"), ("gambling/domains", b"good.example\n")]))
    assert found == {"domains": b"good.example\n"}


def test_members_without_a_folder_and_the_first_of_two():
    content = packed([("domains", b"one\n"), ("gambling/domains", b"two\n"), ("./domains", b"three\n")])
    assert read(content) == {"domains": b"one\n"}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_what_is_no_file_is_read_over(kind):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("gambling/domains")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(ListError, match="none of the files"):
        read(buffer.getvalue())


def test_gzip_members_follow_each_other_and_padding_ends_them():
    content = gzip.compress(b"one\n") + gzip.compress(b"two\n") + bytes(700)
    assert read(content) == {"domains": b"one\ntwo\n"}
    with pytest.raises(ListError, match="damaged"):
        read(content + b"garbage")


def test_packed_twice_on_its_way_but_not_three_times():
    assert read(gzip.compress(GOOD))["urls"] == b"b\n"
    with pytest.raises(ListError, match="packed within packed"):
        read(gzip.compress(gzip.compress(GOOD)))


@pytest.mark.parametrize("kind", ["zip", "xz", "bzip2", "zstd", "7z"])
def test_packings_that_are_not_read_are_named(kind):
    magic = {
        "zip": b"PK\x03\x04",
        "xz": b"\xfd7zXZ",
        "bzip2": b"BZh",
        "zstd": b"\x28\xb5\x2f\xfd",
        "7z": b"7z\xbc\xaf",
    }
    with pytest.raises(ListError, match=f"packed as {kind}"):
        read(magic[kind] + bytes(1000))


@pytest.mark.parametrize(
    ("bounds", "content", "told"),
    [
        (Bounds(max_unpacked=10_000), b"x" * 20_000, "MiB when unpacked"),
        (Bounds(max_unpacked=10_000), gzip.compress(random.Random(1).randbytes(20_000)), "MiB when unpacked"),
        (Bounds(max_lines=100), b"a\n" * 200, "more than 100 lines"),
        (Bounds(max_ratio=100), gzip.compress(bytes(5_000_000)), "more than 100 times its size"),
    ],
)
def test_bounds_hold(bounds, content, told):
    with pytest.raises(ListError, match=told):
        read(content, bounds=bounds)


def bomb(size: int) -> Iterator[bytes]:
    """A gzip of zeros, made as it is read: nobody holds it."""
    engine = zlib.compressobj(wbits=31)
    for _ in range(size >> 20):
        yield engine.compress(bytes(1 << 20))
    yield engine.flush()


def test_a_bomb_of_gigabytes_costs_neither_memory_nor_time():
    tracemalloc.start()
    try:
        with pytest.raises(ListError, match="times its size"):
            for _ in pieces(bomb(4 << 30), wanted=WANTED, folder=None, bounds=Bounds()):
                pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def header(name: str, size: int, kind: bytes = b"0", *, base256: bool = False) -> bytes:
    """A tar header as nobody's program would write it."""
    block = bytearray(512)
    block[:100] = name.encode().ljust(100, b"\0")
    block[124:136] = b"\x80" + size.to_bytes(11, "big") if base256 else b"%011o\0" % size
    block[156:157] = kind
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (header("x", 100 << 20, b"x") + bytes(5000), "too large"),
        (header("x", 100 << 20, b"L") + bytes(5000), "too large"),
        (header("x", 2**60, base256=True) + bytes(5000), "ends in the middle"),
        (header("gambling/domains", 10**9) + b"a" * 5000, "ends in the middle"),
        (header("gambling/domains", 512, b"S") + bytes(2000), "holes"),
        (
            header("x", 16, b"x") + b"16 size=99999999\n".ljust(512, b"\0") + header("domains", 1),
            "a size that",
        ),
        (header("x", 0) * 10_001 + bytes(1024), "more than 10000 members"),
        (header("x", 0) + b"not a header".ljust(512, b"!"), "not a header"),
        (header("x", 0) + bytes(1024), "none of the files"),
    ],
)
def test_what_an_archive_claims_is_not_believed(content, told):
    with pytest.raises(ListError, match=told):
        read(content)


def test_an_empty_file_has_no_texts():
    assert read(b"") == {}
