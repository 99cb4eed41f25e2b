"""Every format and language: the same figures, the Kazakh letters, nothing fetched, nothing run."""

from __future__ import annotations

import csv
import html
import json
import re
import subprocess
from datetime import datetime
from html.parser import HTMLParser
from io import BytesIO, StringIO

import pytest
from _reportseed import CELLS, Seed, fact, people, region
from openpyxl import load_workbook

from filterd.i18n import LANGUAGES
from filterd.monitor.reports.domains import names_domain
from filterd.monitor.reports.outline import Kind, Table
from filterd.monitor.reports.render import FORMATS, rendered
from filterd.monitor.reports.render.csv import guarded
from filterd.monitor.reports.render.pdf import as_pdf
from filterd.monitor.store.paperwork import FACTS

LETTERS = "әғқңөұүһіӘҒҚҢӨҰҮҺІ"
TITLE = {
    "title_kk": f"«{LETTERS}» мектебі",
    "title_ru": "=1+1 школа <b>& «ёж»",
    "title_en": "@cmd O'Neil school",
}


@pytest.fixture
async def kept(desk_of, report_of):
    desk = await desk_of(
        Seed("s001", dict(CELLS), changes=TITLE), *people("s001"), *region(4)[1:],
        (FACTS, [fact("s001", "incidents", "=HYPERLINK(1) <script>alert(1)</script> https://evil.example.com/x")]),
    )  # fmt: skip
    return {
        kind: await report_of(desk, name, kind) for kind, name in (("school", "s001"), ("region", "almaty"))
    }


class Cells(HTMLParser):
    """The rows of all tables of a page, and every tag."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._inside = False

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self._inside = True
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self._inside = self._inside and tag not in {"td", "th"}

    def handle_data(self, data):
        if self._inside:
            self.rows[-1][-1] += data


def figures(page) -> list[list[object]]:
    """The raw values of all tables, without their first column."""
    return [list(row[1:]) for _section, table in page.tables for row in table.rows]


def plain(text: str) -> str:
    return re.sub(r"[\s\xa0\u202f]+", " ", text).strip()


@pytest.mark.parametrize("kind", ["school", "region"])
@pytest.mark.parametrize("code", LANGUAGES)
async def test_html_shows_the_figures_of_the_outline(kind, code, kept, told):
    page = told(kept[kind], code)
    cells = Cells()
    cells.feed(rendered(page, kept[kind].text, "html").decode())
    shown = [[plain(cell) for cell in row] for row in cells.rows]
    for _section, table in page.tables:
        for row in table.rows:
            assert [plain(value.show(page.language)) for value in row] in shown


@pytest.mark.parametrize("code", LANGUAGES)
async def test_html_stands_alone_and_runs_nothing(code, kept, told):
    page = rendered(told(kept["school"], code), kept["school"].text, "html").decode()
    cells = Cells()
    cells.feed(page)
    tags = {tag for tag, _attributes in cells.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "form", "a", "b"}
    assert not any(
        name in {"src", "href", "onload"} for _tag, attributes in cells.tags for name in attributes
    )
    assert "&lt;script&gt;" in page
    assert f'<html lang="{code}">' in page
    words = re.sub(r"<[^>]+>", " ", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL))
    assert not names_domain(html.unescape(words))


async def test_pictures_are_patterns_with_words(kept, told):
    page = rendered(told(kept["school"]), kept["school"].text, "html").decode()
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 3
    for picture in pictures:
        assert "<pattern" in picture
        assert "<desc>" in picture
        assert set(re.findall(r"(?:fill|stroke)='#(\w+)'", picture)) <= {"111", "333", "999", "fff"}, (
            "greys only"
        )
    ids = re.findall(r"<pattern id='([^']+)'", page)
    assert len(set(ids)) == len(ids)


def pdf_text(content: bytes, tmp_path) -> str:
    path = tmp_path / "report.pdf"
    path.write_bytes(content)
    done = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, text=True, check=True)
    return plain(done.stdout)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("code", LANGUAGES)
async def test_pdf_shows_the_figures_and_letters(code, kept, told, tmp_path):
    page = told(kept["school"], code)
    text = pdf_text(rendered(page, kept["school"].text, "pdf"), tmp_path)
    if code == "kk":
        for letter in LETTERS:
            assert letter in text, letter
        assert "Қамту" in text
        assert "алмастырмайды" in text
    for row in figures(page):
        for value in row:
            if value.kind in {Kind.COUNT, Kind.SHARE, Kind.HOURS}:
                assert plain(value.show(page.language)) in text
    info = subprocess.run(
        ["pdfinfo", tmp_path / "report.pdf"], capture_output=True, text=True, check=True
    ).stdout
    assert "A4" in info
    assert re.search(r"Tagged:\s+yes", info)
    fonts = subprocess.run(
        ["pdffonts", tmp_path / "report.pdf"], capture_output=True, text=True, check=True
    ).stdout
    assert "DejaVu" in fonts or "Noto" in fonts


@pytest.mark.parametrize("picture", ["http://127.0.0.1:1/x.png", "file:///etc/hostname"])
def test_pdf_fetches_nothing(picture, caplog):
    made = as_pdf(f"<p>text</p><img src='{picture}'>")
    assert made.startswith(b"%PDF")
    assert "disallowed protocol" in caplog.text


@pytest.mark.parametrize("kind", ["school", "region"])
@pytest.mark.parametrize("code", LANGUAGES)
async def test_xlsx_has_the_figures_as_numbers(kind, code, kept, told):
    page = told(kept[kind], code)
    book = load_workbook(BytesIO(rendered(page, kept[kind].text, "xlsx")))
    found = [[cell.value for cell in row] for sheet in book for row in sheet.iter_rows()]
    for _section, table in page.tables:
        for row in table.rows:
            wanted = [
                v.raw if v.kind not in {Kind.HIDDEN, Kind.NONE} else "x" if v.kind is Kind.HIDDEN else "—"
                for v in row
            ]
            wanted = [datetime(v.year, v.month, v.day) if type(v).__name__ == "date" else v for v in wanted]  # noqa: DTZ001
            assert any(have[: len(wanted)] == wanted for have in found), wanted
    for sheet in book:
        assert sheet.freeze_panes, sheet.title
        assert sheet.column_dimensions["A"].width >= 12
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type != "f", "a formula"
                assert cell.hyperlink is None
                assert not (isinstance(cell.value, str) and names_domain(cell.value))


async def test_xlsx_formats_and_chart(kept, told):
    book = load_workbook(BytesIO(rendered(told(kept["school"]), kept["school"].text, "xlsx")))
    sheet = next(one for one in book if one.title.startswith("4"))
    assert (sheet["B2"].value, sheet["B2"].number_format) == (100_017, "#,##0")
    assert sheet["C2"].number_format == "0.0%"
    assert len(sheet._charts) == 1
    formula = sheet._charts[0].series[0].val.numRef.f
    assert re.findall(r"\$B\$\d", formula) == ["$B$2", "$B$3", "$B$4"]
    assert sheet.freeze_panes == "B2"
    by_category = next(one for one in book if one.title.startswith("5"))
    drawn = re.findall(
        r"\$A\$(\d+)",
        by_category._charts[0].series[0].cat.strRef.f
        if by_category._charts[0].series[0].cat.strRef
        else by_category._charts[0].series[0].cat.numRef.f,
    )
    assert "Ads, trackers" not in {by_category.cell(int(place), 1).value for place in drawn}
    assert len(drawn) == 8
    assert sheet["A1"].font.bold


async def test_xlsx_has_the_letters(kept, told):
    book = load_workbook(BytesIO(rendered(told(kept["school"], "kk"), kept["school"].text, "xlsx")))
    text = "".join(str(cell.value) for sheet in book for row in sheet.iter_rows() for cell in row)
    assert set(LETTERS) <= set(text)


@pytest.mark.parametrize("kind", ["school", "region"])
@pytest.mark.parametrize("code", LANGUAGES)
async def test_csv_has_the_figures(kind, code, kept, told):
    page = told(kept[kind], code)
    content = rendered(page, kept[kind].text, "csv")
    assert content.startswith(b"\xef\xbb\xbf")
    comma = code != "en"
    lines = list(
        csv.reader(StringIO(content.decode("utf-8-sig"), newline=""), delimiter=";" if comma else ",")
    )
    values = [line[4] for line in lines if len(line) == 6][1:]
    wanted = [value for row in figures(page) for value in row]
    assert len(values) == len(wanted)
    for have, value in zip(values, wanted, strict=True):
        number = have.replace(",", ".") if comma else have
        match value.kind:
            case Kind.COUNT | Kind.HOURS:
                assert float(number) == value.raw
            case Kind.SHARE:
                assert float(number) == pytest.approx(value.raw * 100, abs=0.005)
            case Kind.HIDDEN | Kind.NONE:
                assert have == ("x" if value.kind is Kind.HIDDEN else "")
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for line in lines for cell in line)


@pytest.mark.parametrize("text", ["=1+1", "+7", "-1", "@x", "\tx", "\rx", "\nx", "＝1"])
def test_a_formula_becomes_text(text):
    assert guarded(text) == f"'{text}"


def test_other_texts_stay():
    assert guarded("Школа = 5") == "Школа = 5"


async def test_json_is_the_document(kept, told):
    content = rendered(told(kept["school"]), kept["school"].text, "json")
    assert json.loads(content) == kept["school"].document.model_dump(mode="json")
    assert LETTERS in content.decode()


async def test_every_format_is_made(kept, told):
    page = told(kept["school"], "ru")
    assert all(len(rendered(page, kept["school"].text, form)) > 1000 for form in FORMATS)


async def test_columns_and_rows_of_tables_fit(kept, told):
    for kind in ("school", "region"):
        for code in LANGUAGES:
            for section in told(kept[kind], code).sections:
                for block in section.blocks:
                    if isinstance(block, Table) and block.columns:
                        assert {len(row) for row in block.rows} <= {len(block.columns)}


async def test_odd_letters_break_no_format(desk_of, report_of, told):
    odd = "a\x00b\x01c\x0b\ud800d\u202ee\ufffff" + "Ұ" * 3000 + "</style></svg>]]>\n{{ 7*7 }}{% raw %}"
    odd = odd.replace("\x00", "").replace("\ud800", "")  # no database can hold these two
    desk = await desk_of(Seed("s001", dict(CELLS), changes={"title_kk": odd, "responsible": odd}))
    kept = await report_of(desk, "s001")
    page = told(kept, "kk")
    made = {form: rendered(page, kept.text, form) for form in FORMATS}
    assert b"{{ 7*7 }}" in made["html"]
    assert b"</style></svg>" not in made["html"]
    assert load_workbook(BytesIO(made["xlsx"])).worksheets
    assert made["pdf"].startswith(b"%PDF")
