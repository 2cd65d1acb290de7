"""What a visit leaves on paper: the record to be signed and the wearer's leaflet, each as HTML and, if it can be, PDF.

A PDF that can not be drawn (a library is missing, a small box is out of memory) stops no visit: the HTML holds the same
words, and the record says why there is no PDF.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

from gateway.fitting import leaflet
from gateway.fitting.context import Context
from gateway.fitting.doorstep import Doorstep
from gateway.fitting.journal import DONE, Facts, Journal
from gateway.fitting.leaflet_words import Language
from gateway.fitting.steps import Step
from gateway.pdf import PdfError, pdf_of
from gateway.whole_files import write_whole

LeafletIn = Literal["en", "cy", "both"]
"""In which language the wearer is given a leaflet."""
CHOICES: tuple[str, ...] = get_args(LeafletIn)


def written(folder: Path, pages: Mapping[str, str], *, pdf: bool) -> Facts:
    """Write pages (HTML by name) into a visit's folder, whole or not at all, and draw them. Raises OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    files, wrong = [], ""
    for name, page in pages.items():
        write_whole(folder / f"{name}.html", page.encode(), 0o600)
        files.append(f"{name}.html")
        if not pdf:
            continue
        try:
            write_whole(folder / f"{name}.pdf", pdf_of(page), 0o600)
            files.append(f"{name}.pdf")
        except PdfError as error:
            wrong = str(error)
    return {"files": files, **({"no_pdf": wrong} if wrong else {})}


def told(facts: Facts) -> str:
    """Which files there are now, and why not all."""
    wrong = facts.get("no_pdf")
    return ", ".join(facts["files"]) + (f"; no PDF: {wrong}" if wrong else "")


def languages(who: Doorstep, asked: str) -> list[Language]:
    """In which languages: as asked for, else Welsh where the order tells that it is the wearer's, else English."""
    if asked == "both":
        return ["en", "cy"]
    if asked in ("en", "cy"):
        return ["cy" if asked == "cy" else "en"]
    return ["cy" if who.speaks_welsh else "en"]


def leaflet_step(journal: Journal, kind: str, device: str) -> Step:
    """The wearer's leaflet."""

    def act(context: Context) -> Facts:
        order, contact = context.order, context.desk.contact()
        wanted = languages(context.desk.doorstep(order.order_id), context.asked.leaflet)
        pages = {f"leaflet-{one}": leaflet.html(order, kind, device, contact, one) for one in wanted}
        facts = written(journal.folder / DONE / journal.visit, pages, pdf=context.asked.pdf)
        return {"device": device, "languages": wanted, **facts}

    return Step("leaflet", "Writing the wearer's leaflet", act, told, lasting=True)
