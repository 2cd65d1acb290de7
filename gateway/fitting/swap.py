"""One tag in the place of another, in one visit: the old one's last readings, the new one on, then the activation.

The new tag goes on, and is heard, before the old one comes off: so the wearer is watched all the while. Where the old
strap was opened before that, or the tag had fallen silent, the time until the new one was passed is on record as it
was. The move is one transaction: until it one tag is bound and after it one is, whenever the cable is pulled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.clock import utc_text
from gateway.fitting.context import Context
from gateway.fitting.desk import Worn
from gateway.fitting.identity import bound_here
from gateway.fitting.journal import Facts
from gateway.fitting.steps import Step
from gateway.fitting.stops import Stop


@dataclass(frozen=True, slots=True)
class Replaced:
    """The tag that goes. ``silent``: it is lost, or says nothing any more."""

    device: str
    activation: str
    kind: str
    silent: bool

    def as_facts(self) -> Facts:
        """For the journal."""
        return {
            "device": self.device,
            "activation": self.activation,
            "kind": self.kind,
            "silent": self.silent,
        }


def begun_with(context: Context) -> Replaced | None:
    """What this visit was about to replace when the command was cut off."""
    begun = context.journal.begun("bind") if context.journal is not None else None
    return None if begun is None else Replaced(**begun["replaced"])


def lost(rows: Sequence[Worn], old: str | None) -> Replaced:
    """The one tag that is gone. Raises Stop where that is not clear."""
    found = [row for row in rows if old in (None, row.device)]
    if len(found) != 1:
        raise Stop(
            "it is not clear which of this wearer's devices is gone",
            f"type the same command with --old and its number: {', '.join(row.device for row in rows)}",
        )
    return Replaced(found[0].device, found[0].activation, found[0].kind, True)


def ask_for_the_new_one(context: Context, old: str) -> None:
    """The plug goes on the new tag; the old one stays on the leg until the new one is bound."""
    if context.asked.ask is not None and not context.asked.dry_run:
        context.asked.ask(
            f"Leave {old} on. Put the new tag on the other leg, put the plug on it, then press Enter"
        )


def unit_of(context: Context, replaced: Replaced) -> str:
    """The home unit that listens for the tag. Raises Stop where none does."""
    units = context.desk.units_of(replaced.activation)
    if len(units) != 1:
        raise Stop(
            f"{len(units)} home units listen for {replaced.device}, and this visit sees to one",
            f"type `tagwatch fit {context.order.order_id} --remove`, and then fit the new tag with its home unit",
        )
    return units[0]


def exchange_step(replaced: Replaced, tag: str, passed: Facts, unit: str | None) -> Step:
    """The activation moves. It is the visit's step ``bind``: what comes after it is as in any fitting."""

    def act(context: Context) -> Facts:
        worn = context.worn(tag)
        at_ms = passed["at_ms"]
        if worn is not None and bound_here(context, tag) is not None:
            at_ms = worn.fitted_ms
        done = context.desk.exchange(replaced.activation, tag, at_ms, silent=replaced.silent)
        if unit is not None and unit not in done.units:
            raise Stop(
                f"home unit {unit} does not listen for {tag}, but {', '.join(done.units)} does",
                "call the gateway's operator",
            )
        return {
            "device": tag,
            "unit": unit,
            "activation": done.activation,
            "fitted_ms": done.fitted_ms,
            "not_monitored_by_it": list(done.beyond),
            "replaced": replaced.device,
            "ended": done.ended,
            "unproven_ms": done.unproven_ms,
        }

    return Step("bind", "The new tag takes the old one's place", act, _told)


def _told(facts: Facts) -> str:
    gap = facts["unproven_ms"]
    proved = f"; NOT PROVED from {utc_text(gap)} to {utc_text(facts['fitted_ms'])}" if gap is not None else ""
    return (
        f"activation {facts['activation']}; {facts['ended']} has ended{proved}: take {facts['replaced']} off now, "
        "nobody is monitored by it any more"
    )
