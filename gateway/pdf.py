"""HTML → PDF, for what is printed, signed or sent: notices, visit records, leaflets.

WeasyPrint lays the pages out. It is slow to import and large, and what it lays out holds words that others wrote: it
runs in a process of its own (``python -m gateway.pdf``, HTML in, PDF out), which has no more time and memory than a
long document needs and is gone afterwards. Nothing is ever fetched: a document carries its pictures and styles itself
(``data:``), and one that asks for anything else is refused whole, so that nobody signs a page with a hole in it. The
letters are DejaVu's, which has the Welsh ŵ and ŷ; a box without that font is told so rather than printing little boxes.
The same HTML gives the same bytes.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from typing import Any

TIME_LIMIT_S = 120  # one page takes a second or less; a small box under load is ten times slower
MEMORY_LIMIT_BYTES = 1 << 30  # addresses, of which libraries take 400 MiB without touching them
_PACKAGES = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core"
REMEDY = f"install Debian's packages: apt-get install --no-install-recommends {_PACKAGES}"
_STYLE = """
@page { size: A4; margin: 18mm 16mm 20mm 16mm;
        @bottom-right { content: counter(page) " / " counter(pages); font: 8pt "DejaVu Sans"; } }
html { font-family: "DejaVu Sans"; font-size: 10pt; line-height: 1.35; }
"""
# what the process with the page says of its end; any other end than these is its failure
_REFUSED, _NO_LIBRARY, _NO_FONT = 3, 4, 5


class PdfError(Exception):
    """No PDF could be made; the text is one sentence a person can act on."""


class PdfFetchError(PdfError):
    """The document asks for something outside itself, which is never fetched."""


class PdfLibraryError(PdfError):
    """A library or font of the system is missing; the text names the packages."""


def pdf_of(html: str) -> bytes:
    """The PDF (A4, tagged for screen readers) of a whole HTML document.

    ``html`` should state its language (``<html lang="en">``) and title; both go into the PDF. A style of its own
    overrides the pages' margins and letters. Raises PdfFetchError where it refers to a picture, style or font outside
    itself, PdfLibraryError where Pango or the font is missing, PdfError where it took too long, too much memory, or
    failed.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "gateway.pdf"],
            input=html.encode(),
            capture_output=True,
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PdfError(
            f"the PDF was not ready after {TIME_LIMIT_S} s; the HTML holds the same words"
        ) from error
    if done.returncode == 0:
        return done.stdout
    if b"PANGO_IS_FONT" in done.stderr:  # no font at all: Pango ends the process
        raise PdfLibraryError(f"there is no font: {REMEDY}")
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
    kinds = {_REFUSED: PdfFetchError, _NO_LIBRARY: PdfLibraryError, _NO_FONT: PdfLibraryError}
    if done.returncode in kinds:
        raise kinds[done.returncode](lines[-1])
    raise PdfError(f"no PDF could be made (end {done.returncode}): {lines[-1]}")


def _limit() -> None:
    for what, most in ((resource.RLIMIT_AS, MEMORY_LIMIT_BYTES), (resource.RLIMIT_CPU, TIME_LIMIT_S)):
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def draw(html: str) -> bytes:
    """The PDF of ``html``, made in this process, which `pdf_of` starts. Raises SystemExit after saying why."""
    try:
        from weasyprint import CSS, HTML
        from weasyprint.urls import FatalURLFetchingError, URLFetcher
    except OSError as error:  # dlopen
        _end(_NO_LIBRARY, f"{error}: {REMEDY}")

    asked: list[
        str
    ] = []  # the library swallows what is raised within a drawing: what was asked for is also noted
    fonts: list[str] = []

    class Nothing(URLFetcher):  # type: ignore[misc]  # the library has no types
        def fetch(self, url: str, headers: dict[str, str] | None = None) -> object:
            if url[:5].lower() != "data:":
                asked.append(url)
                raise FatalURLFetchingError(url)
            return super().fetch(url, headers)

    def look(_: object, pdf: Any) -> None:
        fonts.extend(
            str(part["BaseFont"]) for part in pdf.objects if isinstance(part, dict) and "BaseFont" in part
        )

    try:
        nothing = Nothing(allowed_protocols=["data"], allow_redirects=False)
        style = CSS(string=_STYLE, url_fetcher=nothing)
        # no base: what is written as a relative address leads nowhere
        drawn: bytes = HTML(string=html, base_url="none:", url_fetcher=nothing).write_pdf(
            stylesheets=[style], pdf_variant="pdf/ua-1", finisher=look
        )
    except FatalURLFetchingError:
        drawn = b""
    if asked or not drawn:
        _end(_REFUSED, f"the document asks for {'; '.join(asked)[:200]}, and nothing is fetched")
    if fonts and not any("DejaVu" in font for font in fonts):
        _end(_NO_FONT, f"the font DejaVu Sans is missing: {REMEDY}")
    return drawn


def _end(code: int, sentence: str) -> None:
    sys.stderr.write(sentence.replace("\n", " ") + "\n")
    raise SystemExit(code)


def main() -> None:
    """HTML from standard input, PDF to standard output."""
    _limit()
    sys.stdout.buffer.write(draw(sys.stdin.buffer.read().decode()))


if __name__ == "__main__":
    main()
