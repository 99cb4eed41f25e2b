"""Lists become an index that says, for each name, which list and category has it; and a report."""

from __future__ import annotations

from pathlib import Path

import pytest

from filterd.errors import DomainIndexError, ListError
from filterd.lists.catalogue import ListSource, Material
from filterd.lists.compile import Progress, compile_lists
from filterd.lists.report import SAMPLES, CompileReport, parse_report, read_report
from filterd.lists.rule import Reason
from filterd.rules.index import EXACT, SUBTREE, Entry, Index, decode, encode
from filterd.wire import names


@pytest.fixture
def run(tmp_path: Path, categories):
    """Return a function: materials -> the report and a function that looks a name up."""
    opened: list[Index] = []

    def run(*materials: Material, **options):
        target = tmp_path / f"index-{len(opened)}.mdb"
        report = compile_lists(materials, categories, target, now=1000, **options)
        index = Index.open(target)
        opened.append(index)

        def look(text: str) -> list[tuple[str, str, int]]:
            return [
                (index.lists[match.entry.list_no].id, names.to_text(match.name), match.entry.category)
                for match in index.lookup(names.from_text(text))
            ]

        return report, look

    yield run
    for index in opened:
        index.close()


def test_each_name_tells_list_and_category(run, material):
    report, look = run(
        material("betting", "domains", "bet.example\n"),
        material("bad", "hosts", "0.0.0.0 bad.example\n0.0.0.0 bet.example\n", category="malware"),
    )
    assert look("www.bet.example") == [("betting", "bet.example", 3), ("bad", "bet.example", 7)]
    assert look("bad.example") == [("bad", "bad.example", 7)]
    assert look("good.example") == []
    assert (report.names, report.built_at) == (2, 1000)


def test_the_index_describes_itself(run, material, tmp_path: Path):
    report, _ = run(
        material("betting", text="bet.example\nbet.example\n1.2.3.4\n", title="Betting"), sequence=12
    )
    index = Index.open(tmp_path / "index-0.mdb")
    info = index.lists[0]
    assert (info.id, info.title, info.category, info.origin) == ("betting", "Betting", "gambling", "local")
    assert (info.entries, info.rejected, info.fetched_at) == (1, 1, None)
    assert len(info.sha256) == 64
    assert index.version == report.version
    assert report.version.startswith("000012-")
    index.close()


def test_the_report_counts_everything(run, material):
    text = "a.example\nA.example\nx.a.example\n1.2.3.4\nb..example\nco.uk\n" + "".join(
        f"{number}.{number}\n" for number in range(30)
    )
    report, _ = run(material("one", text=text))
    (one,) = report.lists
    assert (one.rules, one.duplicates, one.covered, one.names) == (3, 1, 1, 2)
    assert one.rejected == {Reason.IP_ADDRESS: 31, Reason.EMPTY_LABEL: 1, Reason.PUBLIC_SUFFIX: 1}
    assert one.rejects == 33
    assert len(one.samples) == SAMPLES + 2
    assert [sample.line for sample in one.samples if sample.reason is Reason.EMPTY_LABEL] == [5]


def test_exceptions_stay_within_their_list(run, material):
    _, look = run(
        material("one", "adblock", "||a.example^\n@@||good.a.example^\n"),
        material("two", "domains", "a.example\n"),
    )
    assert look("good.a.example") == [("two", "a.example", 3)]
    assert look("bad.a.example") == [("one", "a.example", 3), ("two", "a.example", 3)]


def test_the_entry_of_a_list_says_scope_and_suffixes(run, material):
    report, look = run(
        material("one", text="a.example\npages.dev\n", scope="exact", allow_public_suffix=["pages.dev"])
    )
    assert look("a.example")
    assert look("pages.dev")
    assert not look("www.a.example")
    assert not look("x.pages.dev")
    assert not report.lists[0].rejected


def test_ut1_folders(run, material, tmp_path: Path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "domains").write_text("a.example\n")
    (folder / "urls").write_text("b.example/x\n")
    (folder / "usage").write_text("black\n")
    source = material("one", "ut1").source
    report, look = run(Material(source, folder, 77))
    assert look("www.a.example")
    assert report.lists[0].usage == ("black",)
    assert report.lists[0].rejected == {Reason.URL: 1}


def test_a_list_not_fetched_yet_is_told_and_skipped(run, material):
    source = ListSource(
        id="far",
        title="Far",
        url="https://x.example",
        format="auto",
        category="malware",
        origin="public",
        licence="MIT",
    )
    report, look = run(Material(source, None), material("one", text="a.example"))
    assert [one.problem for one in report.lists] == ["not fetched yet", ""]
    assert look("a.example") == [("one", "a.example", 3)]


def test_names_of_illegal_content_are_never_in_a_report(run, material):
    report, _ = run(material("secret", text="b..example\n", category="csam"))
    assert [sample.text for sample in report.lists[0].samples] == [""]
    assert report.lists[0].rejected == {Reason.EMPTY_LABEL: 1}


def test_the_same_lists_give_the_same_content_and_another_list_another(run, material):
    first = run(material("one", text="a.example"))[0]
    again = run(material("one", text="a.example"))[0]
    other = run(material("one", text="b.example"))[0]
    exact = run(material("one", text="a.example", scope="exact"))[0]
    assert first.version == again.version
    assert len({first.version, other.version, exact.version}) == 3


def test_progress_is_told(run, material):
    steps: list[Progress] = []
    run(material("one", text="a.example"), material("two", text="b.example"), progress=steps.append)
    assert steps == [
        Progress("read", "one", 1, 2),
        Progress("read", "two", 2, 2),
        Progress("write", "", 2, 2),
    ]


def test_more_names_than_are_held_in_memory(run, material):
    text = "".join(f"host-{number % 9000}.example.com\n" for number in range(20_000))
    report, look = run(material("one", text=text), material("two", text=text, category="malware"), held=1000)
    assert report.names == 9000
    assert [one.duplicates for one in report.lists] == [11_000, 11_000]
    assert look("host-8999.example.com") == [
        ("one", "host-8999.example.com", 3),
        ("two", "host-8999.example.com", 7),
    ]


def test_nothing_is_left_beside_the_index(run, material, tmp_path: Path):
    run(material("one", text="a.example"))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["index-0.mdb", "one.list"]


def test_a_missing_list_ends_the_compilation(run, material, tmp_path: Path):
    gone = material("gone")
    assert gone.path is not None
    gone.path.unlink()
    with pytest.raises(ListError, match=r"list 'gone' cannot be read: No such file"):
        run(material("one", text="a.example"), gone)
    assert [entry.name for entry in tmp_path.iterdir()] == ["one.list"]


def test_a_file_where_a_folder_must_be(run, material):
    with pytest.raises(ListError, match="is not a folder"):
        run(material("one", "ut1"))


def test_an_unknown_category(run, material):
    with pytest.raises(ListError, match=r"unknown category 'gamblin' \(did you mean 'gambling'\?\)"):
        run(material("one", category="gamblin"))


def test_a_folder_that_cannot_be_written(categories, material, tmp_path: Path):
    with pytest.raises((DomainIndexError, OSError)):
        compile_lists([material()], categories, tmp_path / "none" / "index.mdb", now=0)


def test_the_report_survives_its_json(run, material, tmp_path: Path):
    report, _ = run(material("one", text="a.example\n1.2.3.4\nb..example\n"))
    path = tmp_path / "report.json"
    path.write_bytes(report.to_json())
    assert read_report(path) == report
    assert isinstance(report, CompileReport)


def test_a_damaged_report(tmp_path: Path):
    with pytest.raises(ListError, match="no report"):
        read_report(tmp_path / "none")
    with pytest.raises(ListError, match="not a report"):
        parse_report(b"{}")


def test_values_of_entries_can_be_joined():
    """The compiler encodes each entry once and joins the bytes: the codec must allow it."""
    one, two = Entry(1, 3, EXACT), Entry(2, 7, SUBTREE, allow=True, important=True)
    assert encode([one]) + encode([two]) == encode([two, one])
    assert decode(encode([one]) + encode([two])) == (one, two)
