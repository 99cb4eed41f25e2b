from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from io import BytesIO

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from filterd.i18n import LANGUAGES, gather, language
from filterd.i18n.gather import gaps, path_of, read, sources

KAZAKH = re.compile("[әғқңөұүһі]", re.IGNORECASE)
HOLE = re.compile(r"%\(\w+\)s")


def strings(message) -> list[str]:
    return list(message.string) if isinstance(message.string, tuple) else [message.string]


@pytest.mark.parametrize("code", LANGUAGES)
def test_r12_no_text_is_missing_empty_fuzzy_or_useless(code):
    assert list(gaps(code)) == []


def test_the_gathering_sees_modules_and_templates():
    places = {place for message in sources() for place, _line in message.locations}
    assert "monitor/reports/sections.py" in places
    assert "monitor/reports/render/templates/report.html" in places
    assert len(sources()) > 100


@pytest.mark.parametrize("damage", ["missing", "empty", "fuzzy", "more"])
def test_a_gap_is_found(damage, monkeypatch):
    catalog = read("ru")
    message = next(one for one in catalog if one.id == "Coverage")
    if damage == "missing":
        catalog.delete("Coverage")
    elif damage == "empty":
        message.string = ""
    elif damage == "fuzzy":
        message.flags.add("fuzzy")
    else:
        catalog.add("nobody says this", "никто")
    monkeypatch.setattr(gather, "read", lambda _code: catalog)
    (gap,) = gaps("ru")
    assert gap.endswith(": 'nobody says this'" if damage == "more" else ": 'Coverage'")


@pytest.mark.parametrize("code", LANGUAGES)
def test_translations_keep_their_holes(code):
    for message in read(code):
        if message.id:
            wanted = sorted(set(HOLE.findall(message.id if isinstance(message.id, str) else message.id[1])))
            for text in strings(message):
                assert sorted(set(HOLE.findall(text))) == wanted, message.id


def test_kazakh_is_kazakh():
    texts = " ".join(text for message in read("kk") if message.id for text in strings(message))
    assert len(KAZAKH.findall(texts)) > 500
    for letter in "әғқңөұүіӘҚ":
        assert letter in texts
    assert not re.search("[ъщэ]", texts.casefold()), "a Russian word slipped in"


def test_plural_forms_are_those_of_the_languages():
    few = {code: len(strings(next(m for m in read(code) if isinstance(m.id, tuple)))) for code in LANGUAGES}
    assert few == {"kk": 2, "ru": 3, "en": 2}
    say = language("ru").ngettext
    one, many = (next(m.id for m in read("ru") if isinstance(m.id, tuple)))[:2]
    assert "5 устройствам" in say(one, many, 5)
    assert "1 устройству" in say(one, many, 1)


@pytest.mark.parametrize("code", LANGUAGES)
def test_updating_changes_nothing_that_is_up_to_date(code, tmp_path, monkeypatch):
    before = path_of(code).read_bytes()
    copy = tmp_path / "filterd.po"
    copy.write_bytes(before)
    monkeypatch.setattr(gather, "path_of", lambda _code: copy)
    gather.update(code, sources())
    assert copy.read_bytes() == before


def test_the_wheel_brings_the_catalogs_and_templates():
    """What git knows of the package goes into the wheel; nothing has to be compiled for it."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "filterd"],
        cwd=gather.PACKAGE.parent, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    for code in LANGUAGES:
        assert f"filterd/i18n/locale/{code}/LC_MESSAGES/filterd.po" in listed
    assert "filterd/monitor/reports/render/templates/report.html" in listed
    assert not [name for name in listed if name.endswith(".mo")]


def test_catalogs_work_from_a_zip(tmp_path):
    """Read as a resource, not as a file beside the module."""
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in (gather.PACKAGE / "i18n").rglob("*"):
            if path.suffix in {".py", ".po"}:
                file.write(path, f"filterd/{path.relative_to(gather.PACKAGE)}")
        file.writestr("filterd/__init__.py", "")
    code = (
        f"import sys; sys.path.insert(0, {str(archive)!r})\n"
        "from filterd.i18n import language; import filterd\n"
        "print(filterd.__file__, language('kk').gettext('Coverage'))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert str(archive) in done.stdout
    assert done.stdout.endswith("Қамту\n")


def test_read_po_of_a_catalog_is_a_catalog():
    assert isinstance(read_po(BytesIO(path_of("en").read_bytes())), Catalog)
