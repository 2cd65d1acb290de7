"""What stays of a visit: who, what, when, serial numbers, readings and times, as data and as a page to be signed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gateway.clock import utc_text
from gateway.fitting import page, papers
from gateway.fitting.journal import DONE, Facts, Journal
from gateway.whole_files import write_whole

if TYPE_CHECKING:
    from gateway.fitting.context import Context

FORM = 1


def write(context: Context, journal: Journal) -> Facts:
    """Write the record of a visit into its folder, whole or not at all; again gives the same. Raises OSError."""
    folder = journal.folder / DONE / journal.visit
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "record.json"
    if not path.exists():
        told = document(context, journal)
        write_whole(path, (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode(), 0o600)
    # what is on disk: a gateway that was sent it before a command was killed is sent the same
    told = json.loads(path.read_text("utf-8"))
    context.desk.keep(told)
    pages = papers.written(folder, {"record": page.html(told)}, pdf=context.asked.pdf)
    return {**pages, "files": ["record.json", *pages["files"]]}


def document(context: Context, journal: Journal) -> dict[str, Any]:
    """The record as data: what the journal says, beside who was visited and by whom."""
    facts = context.facts
    bound = facts.get("bind") or facts.get("unbind") or facts.get("identify") or {"device": None}
    # with what an earlier command has done that this one did not have to do again; not of a tag that was put back
    told_of = (None, bound["device"], bound.get("unit"), bound.get("replaced"))
    steps = {name: one for name, one in journal.every_done().items() if one.get("device") in told_of} | facts
    return {
        "tagwatch_visit": FORM,
        "visit": journal.visit,
        "purpose": context.purpose,
        "outcome": facts["outcome"]["outcome"] if "outcome" in facts else "done",
        "began": journal.began,
        "ended": utc_text(context.now_ms()),
        "officer": context.asked.by,
        "order": context.order.order_id,
        "order_version": context.order.version,
        "wearer": {"id": context.order.wearer.id, "name": context.order.wearer.name},
        "activation": bound.get("activation"),
        "device": bound["device"],
        "home_unit": bound.get("unit"),
        "fitted": utc_text(bound["fitted_ms"]) if "fitted_ms" in bound else None,
        "removed": utc_text(bound["removed_ms"]) if "removed_ms" in bound else None,
        "steps": {name: one for name, one in steps.items() if name not in ("find", "unit find", "record")},
        "journal": [line for line in journal.lines if line["step"] != "record"],
    }
