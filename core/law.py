"""Is an order within the law? A list of problems with law, figure and dates; never a correction (docs/law.md).

The order is monitored as it was made, whatever is found here: each problem is a task for a person. A problem is
``certain`` or it is a doubt: the order breaks the limit on one reading of it but not on the other, or does not say
enough to tell. Limits are applied only where the regime is known to have them: bail, licence and immigration have no
limit on curfew hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

from core.clock_hours import civil_day, last_day, specified
from core.curfew_law import curfew_problems
from core.order import AlcoholCondition, Order, Regime
from core.schedule import ALWAYS_MS
from core.statute import ALCOHOL, ASK, FIND_DATES, Check, Law, LegalProblem

__all__ = ["Check", "Law", "LegalProblem", "check_order"]


def check_order(order: Order, timezone: str, earlier: Sequence[Order] = ()) -> list[LegalProblem]:
    """Everything doubtful about an order. Hours and dates count through its ``earlier`` versions too.

    ``timezone`` is that of the order's civil times (`RuleSet.timezone`). No problem means that no limit known here is
    broken, not that the order is lawful.
    """
    orders, zone = (*earlier, order), ZoneInfo(timezone)
    return [*_doubts(order, zone), *curfew_problems(orders, order, zone), *_alcohol(orders, order, zone)]


def _doubts(order: Order, zone: ZoneInfo) -> list[LegalProblem]:
    problems = []
    if order.regime == Regime.UNKNOWN:
        law = Law("no limit is applied where the regime is not known", "Q")
        fact = "The regime of the order is not known, so no statutory limit was applied"
        problems.append(LegalProblem(Check.REGIME, law, fact, "Find out under which law it was made.", False))
    if order.conviction is not None and order.start_ms is not None:
        start = civil_day(order.start_ms, zone)
        if order.conviction > start:
            law = Law("a sentence follows the conviction", "M")
            fact = f"The conviction of {order.conviction} lies after the order's start on {start}"
            problem = LegalProblem(
                Check.DATES, law, fact, FIND_DATES, False, first=start, last=order.conviction
            )
            problems.append(problem)
    return problems


def _alcohol(orders: Sequence[Order], order: Order, zone: ZoneInfo) -> list[LegalProblem]:
    limit, parts = ALCOHOL.get(order.regime), specified(orders, AlcoholCondition)
    if limit is None or not parts:
        return []
    ids = tuple(sorted({part.condition.id for part in parts}))
    start, end = min(part.from_ms for part in parts), max(part.to_ms for part in parts)
    if start == -ALWAYS_MS or end == ALWAYS_MS:
        fact = (
            "The order does not tell from when to when alcohol is monitored, so its length can not be checked"
        )
        return [LegalProblem(Check.ALCOHOL_DAYS, limit.law, fact, FIND_DATES, False, ids)]
    first, last = civil_day(start, zone), last_day(end, zone)
    days = (last - first).days + 1
    if days <= limit.most:
        return []
    fact = f"Alcohol monitoring of {days} days, from {first} to {last}; the law allows {limit.most}"
    over = first + timedelta(days=limit.most)
    return [
        LegalProblem(
            Check.ALCOHOL_DAYS, limit.law, fact, ASK, True, ids, days, limit.most, "days", over, last
        )
    ]
