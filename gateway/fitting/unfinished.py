"""What of a visit waits: for a connection (an enrolment bundle), or for the first reading of a tag in a prison.

The step ``waits`` writes down all that is needed later; ``tagwatch fit finish`` goes on from there, without the tag: it
delivers, waits for the first reading since the tag was passed, and binds from that moment, or from the release on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from gateway.clock import utc_text
from gateway.fitting import bundle_desk, page, papers, record
from gateway.fitting.bundle_desk import BundleDesk
from gateway.fitting.context import Asked, Context, Purpose
from gateway.fitting.desk import Desk
from gateway.fitting.journal import DONE, Facts, Journal
from gateway.fitting.remote_desk import RemoteDesk
from gateway.fitting.steps import Step
from gateway.fitting.stops import Stop
from gateway.whole_files import wipe

WAITS = "waits"
RELEASE = "at source"
READING, BINDING = "the first reading", "the binding to the order"
ENDING = "the end of its activation"
NOBODY = "nobody is monitored by it yet"
_MOST_AHEAD_MS = 366 * 86_400_000


def refuse_what_needs_a_connection(desk: Desk, order_id: str, purpose: Purpose) -> None:
    """Raises Stop where a visit for that purpose can not be made at this desk.

    The keys of tags that are worn do not leave the gateway (decision 0031): so a tag can be taken off without a
    connection, for which it is asked only who it is, and not be tested or passed.
    """
    if desk.connected or purpose in ("fit", "remove"):
        return
    again = f"type `tagwatch fit {order_id} --{purpose}` where there is a connection"
    if purpose == "check":
        raise Stop(
            "without a connection a tag that is worn can not be checked: its key does not leave the gateway",
            f"look at strap and case, note what you see, and {again}; where the tag hurts or is damaged take it off "
            f"with `tagwatch fit {order_id} --remove --bundle FILE`",
        )
    raise Stop(
        "without a connection no tag can take another's place",
        f"leave the old one on, for it goes on telling, and {again}",
    )


def refuse_what_waits(journal: Journal | None) -> None:
    """Raises Stop where this visit has done all that can be done at the tag."""
    waits = journal.done(WAITS) if journal is not None else None
    if waits is not None and journal is not None:
        done = "taken off" if ENDING in waits["waits"] else "fitted"
        raise Stop(
            f"this visit has {done} {waits['device']}, and waits for {' and '.join(waits['waits'])}",
            f"type `tagwatch fit finish {journal.order}` where there is a connection",
        )


def release_step(asked: Asked) -> Step:
    """From when on the wearer is monitored: the release from prison, as told or as the order begins."""

    def act(context: Context) -> Facts:
        release_ms = context.order.start_ms if asked.release_ms is None else asked.release_ms
        now_ms = context.now_ms()
        if release_ms is None or not now_ms < release_ms < now_ms + _MOST_AHEAD_MS:
            told = "is not told" if release_ms is None else f"({utc_text(release_ms)}) does not lie ahead"
            raise Stop(
                f"the time of the release {told}",
                "type the command with --release and the time; if the wearer is free already, without --at-source",
            )
        if "rf_tag" in context.wanted_kinds and set(context.wanted_kinds) == {"rf_tag"}:
            raise Stop(
                "this order needs an RF tag, whose home unit stands in the home",
                "fit both there, on the day of the release",
            )
        return {"release_ms": release_ms, "told_by": context.asked.by, "at_ms": now_ms}

    return Step(
        RELEASE,
        "Before the release",
        act,
        lambda facts: f"monitoring begins at {utc_text(facts['release_ms'])}, and nothing is judged before",
        lasting=True,
    )


def waits_step(journal: Journal, kind: str, tag: str, unit: str | None, waits: Sequence[str]) -> Step:
    """What is to be finished, and with what."""

    def act(context: Context) -> Facts:
        checked = context.facts["unit check" if unit else "check"]
        facts: Facts = {
            "device": tag,
            "unit": unit,
            "kind": kind,
            "address": context.asked.address,
            "at_ms": checked["at_ms"],
            "row": checked["row"],
            "release_ms": context.facts.get(RELEASE, {}).get("release_ms"),
            **_of_bundle(context),
            "waits": list(waits),
            "good": False,
        }
        _write_what_waits(context, journal, waits)
        return facts

    return Step(WAITS, "What waits", act, lambda facts: _told(journal, facts))


def removal_waits_step(journal: Journal, device: str, activation: str, removed_ms: int) -> Step:
    """The tag is off since ``removed_ms`` (this computer's clock); its activation ends where there is a connection."""

    def act(context: Context) -> Facts:
        _write_what_waits(context, journal, [ENDING])
        return {
            "device": device,
            "unit": None,
            "activation": activation,
            "at_ms": removed_ms,
            "release_ms": None,
            "lost": context.asked.lost,
            **_of_bundle(context),
            "waits": [ENDING],
            "good": False,
        }

    return Step(WAITS, "What waits", act, lambda facts: _told(journal, facts))


def _of_bundle(context: Context) -> Facts:
    bundle = context.desk.bundle if isinstance(context.desk, BundleDesk) else None
    return {
        "bundle": bundle.id if bundle else None,
        "bundle_file": str(bundle.path) if bundle else None,
        "bundle_orders": list(bundle.orders) if bundle else [],
    }


def _write_what_waits(context: Context, journal: Journal, waits: Sequence[str]) -> None:
    told = record.document(context, journal) | {"outcome": "not_finished", "waits": list(waits)}
    papers.written(journal.folder / DONE / journal.visit, {"unfinished": page.html(told)}, pdf=False)


def _told(journal: Journal, facts: Facts) -> str:
    return (
        f"NOT FINISHED: {' and '.join(facts['waits'])} waits; type `tagwatch fit finish "
        f"{journal.order}` where there is a connection"
    )


def deliver_step(journal: Journal, waits: Facts) -> Step:
    """The gateway is told of the visit, and says whether it may be finished."""

    def act(context: Context) -> Facts:
        passed_ms = int(waits["at_ms"])
        if waits["bundle"] is not None:
            if not isinstance(context.desk, RemoteDesk):
                raise Stop("a bundle is finished from the computer that it was used on", "sign in there")
            # what the laptop's clock was off then it is off now: it was the only one at the visit
            ahead_ms = context.now_ms() - time.time_ns() // 1_000_000
            began = datetime.fromisoformat(journal.began)
            passed_ms += ahead_ms
            context.desk.claim(
                waits["bundle"],
                journal.order,
                journal.visit,
                round(began.timestamp() * 1000) + ahead_ms,
            )
        release_ms = waits["release_ms"]
        return {
            "device": waits["device"],
            "passed_ms": passed_ms,
            "at_ms": passed_ms if release_ms is None else release_ms,
        }

    return Step(
        "deliver",
        "Telling the gateway of the visit",
        act,
        lambda facts: (
            f"{facts['device']} was {'taken off' if ENDING in waits['waits'] else 'passed'} at "
            f"{utc_text(facts['passed_ms'])}"
        ),
        lasting=True,
    )


def reading_step(waits: Facts) -> Step:
    """The first message since the tag was passed; the tag is not at hand any more."""

    def act(context: Context) -> Facts:
        device, about = waits["unit"] or waits["device"], waits["device"] if waits["unit"] else None
        passed_ms = context.facts["deliver"]["passed_ms"]
        for left_s in context.patiently(context.asked.reading_s):
            found = context.desk.reading_since(device, waits["row"], about, passed_ms)
            if found is not None:
                return {"device": device, "received_ms": found.received_ms, "row": found.row}
            context.listener.says(f"waiting for the first reading, {left_s:.0f} s left")
        raise Stop(
            f"no reading of {device} has arrived since it was passed",
            "have the wearer go outdoors, or to where a telephone has a connection, and type the same command again; "
            + ("it is bound" if waits["waits"] == [READING] else NOBODY),
        )

    return Step(
        "first reading",
        "The first reading through the broker",
        act,
        lambda facts: f"committed, received {utc_text(facts['received_ms'])}",
        lasting=True,
    )


def over(journal: Journal, waits: Facts) -> None:
    """The bundle is used up for this order; its file is wiped when that was the last. Raises OSError."""
    if waits["bundle"] is None:
        return
    folder, path = journal.folder, Path(waits["bundle_file"])
    bundle_desk.use_up(folder, waits["bundle"], journal.order)
    if path.is_file() and set(waits["bundle_orders"]) <= set(bundle_desk.used(folder)[waits["bundle"]]):
        wipe(path)
