"""What a practitioner has discounted stands with the alerts of that time: a note beside them, which takes none away.

An excuse changes nothing of what was seen, and no more does an authorised absence that was recorded when its time had
begun: from then on it takes time out of the curfew, before it is an excuse (docs/decisions/0033). It is counted out of
the accumulated time (`core.atv`), and every alert of the condition that lies in its time says so, with who and why, for
whoever reads it. When it is taken back the note goes and the alert stands as before; each is a revision of the alert.
"""

from __future__ import annotations

from dataclasses import replace

from core.activation import Activation
from core.alerts import Alert
from core.order import DiscountedTime, DiscountKind, Order
from core.schedule import ALWAYS_MS
from gateway.orders.times import told

ATV_REACHED = "atv_reached"
"""`core.curfew_alerts.ATV_REACHED`, which brings numba with it."""
EXCUSED, AUTHORISED = "excused", "authorised_absence"
"""The figures of an alert that tell what of its time is excused, and what was authorised beforehand."""
_FIGURES = {DiscountKind.REASONABLE_EXCUSE: EXCUSED, DiscountKind.AUTHORISED_ABSENCE: AUTHORISED}


def with_excuses(alert: Alert, activation: Activation) -> Alert:
    """An alert with what is discounted of its time, as the order known last says it; nothing else of it changes."""
    figures = {name: said for name, said in alert.figures.items() if name not in _FIGURES.values()}
    for kind, name in _FIGURES.items():
        words = [words_of(one) for one in about(alert, activation.order) if one.kind == kind]
        if words:
            figures[name] = "; ".join(words)
    return alert if figures == dict(alert.figures) else replace(alert, figures=figures)


def about(alert: Alert, order: Order) -> list[DiscountedTime]:
    """What an order discounts of an alert's time and condition, ascending."""
    if not alert.condition or alert.rule == ATV_REACHED:
        return []  # equipment has no excuse; the sum of absences is reckoned without what is excused
    end_ms = ALWAYS_MS if alert.end_ms is None else max(alert.end_ms, alert.start_ms + 1)
    found = [
        one
        for one in order.discounts
        if one.condition in (None, alert.condition) and one.from_ms < end_ms and alert.start_ms < one.to_ms
    ]
    return sorted(found, key=lambda one: (one.from_ms, one.to_ms, one.reason))


def words_of(one: DiscountedTime) -> str:
    """When, why and who, as people read it; of what was to be authorised beforehand, that it was recorded later."""
    who = f" ({one.by})" if one.by else ""
    late = one.kind == DiscountKind.AUTHORISED_ABSENCE and (one.recorded_ms or one.from_ms) > one.from_ms
    since = f", on record since {told(one.recorded_ms)}" if late and one.recorded_ms is not None else ""
    return f"{told(one.from_ms)} to {told(one.to_ms)}: {one.reason}{who}{since}"
