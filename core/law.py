"""Is an order within the law? A list of problems with law, figure and dates; never a correction (docs/law.md).

The order is monitored as it was made, whatever is found here: each problem is a task for a person. A problem is
``certain`` or it is a doubt: the order breaks the limit on one reading of it but not on the other, or does not say
enough to tell. Limits are applied only where the regime is known to have them: bail, licence and immigration have no
limit on curfew hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from zoneinfo import ZoneInfo

from core.clock_hours import civil_day, last_day, specified
from core.curfew_law import curfew_problems
from core.order import AlcoholCondition, Order, Regime
from core.schedule import ALWAYS_MS
from core.statute import ALCOHOL, ASK, FIND_DATES, Check, DaysLimit, Law, LegalProblem

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
    """Each condition for itself; several that are within the limit each, but not together, are a doubt."""
    limit, parts = ALCOHOL.get(order.regime), specified(orders, AlcoholCondition, "alcohol")
    if limit is None or not parts:
        return []
    unknown = sorted({p.condition.id for p in parts if p.from_ms == -ALWAYS_MS or p.to_ms == ALWAYS_MS})
    if unknown:
        fact = "The order does not tell from when to when alcohol is monitored"
        what = f"{fact}, so its length can not be checked"
        return [LegalProblem(Check.ALCOHOL_DAYS, limit.law, what, FIND_DATES, False, tuple(unknown))]
    days: dict[str, list[int]] = {}
    for part in parts:
        mine = days.setdefault(part.condition.id, [])
        mine += range(civil_day(part.from_ms, zone).toordinal(), last_day(part.to_ms, zone).toordinal() + 1)
    # a requirement runs from its first day to its last, whatever a version in between left out
    whole = {i: list(range(min(mine), max(mine) + 1)) for i, mine in days.items()}
    problems = [_too_long((i,), mine, limit, True) for i, mine in whole.items() if len(mine) > limit.most]
    together = sorted({day for mine in whole.values() for day in mine})
    if not problems and len(together) > limit.most:
        problems = [_too_long(tuple(sorted(whole)), together, limit, False)]
    return problems


def _too_long(ids: tuple[str, ...], days: Sequence[int], limit: DaysLimit, certain: bool) -> LegalProblem:
    first, over, last = (date.fromordinal(days[i]) for i in (0, limit.most, -1))
    fact = f"Alcohol monitoring of {len(days)} days between {first} and {last}; the law allows {limit.most}"
    if not certain:
        fact += "; whether the conditions are one requirement decides"
    figures = len(days), limit.most, "days"
    return LegalProblem(Check.ALCOHOL_DAYS, limit.law, fact, ASK, certain, ids, *figures, over, last)
