"""What is printed has every letter, and nothing that was fetched."""

from __future__ import annotations

import base64
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pypdf
import pytest

from gateway import pdf

PAGE = '<html lang="cy"><head><title>Rhybudd</title></head><body>{}</body></html>'


def words_of(made: bytes) -> str:
    return " ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(made)).pages)


def test_welsh_words_come_back_out_of_a_pdf() -> None:
    words = "Cartref: Tŷ’r Ŵyl, Dŵr Ÿsgol · ŵ ŷ â ê î ô û · Łódź — Ἑλλάς — Москва"
    made = pdf.pdf_of(PAGE.format(f"<p>{words}</p>"))
    assert words in re.sub(r"\s+", " ", words_of(made))
    read = pypdf.PdfReader(io.BytesIO(made))
    assert read.metadata is not None and read.metadata.title == "Rhybudd"
    assert str(read.root_object["/Lang"]) == "cy"  # a screen reader takes the right voice
    assert pdf.pdf_of(PAGE.format(f"<p>{words}</p>")) == made


def fetching(secret: Path) -> dict[str, str]:
    at = f"file://{secret}"
    return {
        "a picture over http": '<img src="http://127.0.0.1:9/x.png">',
        "a picture of a file": f'<img src="{at}">',
        "a relative picture": '<img src="x.png">',
        "a style sheet": f'<link rel="stylesheet" href="{at}">',
        "an import in a style": f'<style>@import "{at}";</style>',
        "a background": f'<p style="background: url({at})">x</p>',
        "a font": f"<style>@font-face {{ font-family: f; src: url({at}) }} p {{ font-family: f }}</style><p>x</p>",
        "a picture in a picture": f'<svg width="9" height="9"><image href="{at}" width="9" height="9"/></svg>',
        "an attachment": f'<a rel="attachment" href="{at}">x</a>',
        "an attachment of the document": f'<link rel="attachment" href="{at}">',
        "an object": f'<object data="{at}"></object>',
        "an embedded page": f'<embed src="{at}">',
        "a base": f'<base href="{secret.parent.as_uri()}/"><img src="{secret.name}">',
    }


@pytest.mark.parametrize("how", sorted(fetching(Path("/x"))))
def test_a_document_that_asks_for_a_url_is_refused(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "secret.css"
    secret.write_text("p::after { content: 'taken' }")
    with pytest.raises(SystemExit):
        pdf.draw(PAGE.format(fetching(secret)[how]))
    assert "nothing is fetched" in capsys.readouterr().err


def test_a_refusal_names_what_was_asked_for() -> None:
    with pytest.raises(pdf.PdfFetchError, match="asks for file:///etc/passwd, and nothing is fetched"):
        pdf.pdf_of(PAGE.format('<img src="file:///etc/passwd">'))


def test_a_picture_inside_the_document_is_drawn_and_a_link_is_only_a_link() -> None:
    svg = base64.b64encode(b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>').decode()
    made = pdf.pdf_of(
        PAGE.format(
            f'<img alt="s" src="data:image/svg+xml;base64,{svg}"><a href="https://example.org/">x</a>'
        )
    )
    assert made.startswith(b"%PDF")


def test_a_system_without_the_font_names_the_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fonts = tmp_path / "fonts.conf"
    fonts.write_text("<?xml version='1.0'?><fontconfig></fontconfig>")
    monkeypatch.setenv("FONTCONFIG_FILE", str(fonts))
    with pytest.raises(pdf.PdfLibraryError, match="fonts-dejavu-core"):
        pdf.pdf_of(PAGE.format("<p>x</p>"))


def test_a_system_without_pango_names_the_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # what the library does where dlopen finds no Pango
    (tmp_path / "weasyprint.py").write_text("raise OSError(\"cannot load library 'libpango-1.0-0'\")")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    with pytest.raises(pdf.PdfLibraryError, match=r"libpango-1\.0-0'.*apt-get install.*libpangoft2"):
        pdf.pdf_of(PAGE.format("<p>x</p>"))


def test_the_library_never_gets_into_the_process_that_asks() -> None:
    asked = (
        "import sys; from gateway.pdf import pdf_of; "
        "assert pdf_of('<p>x</p>').startswith(b'%PDF'); assert 'weasyprint' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", asked], check=True)
