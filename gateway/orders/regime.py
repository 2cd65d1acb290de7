"""Under which law an order was made, by what its message says; unknown where that does not agree with itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.order import Regime
from gateway.orders import tasks
from gateway.orders.tasks import Finding
from gateway.orders.words import flag, folded, is_absent, text

ORDER_TYPES = {
    "pretrial": Regime.BAIL,
    "bail": Regime.BAIL,
    "community": Regime.COMMUNITY_ORDER,
    "postrelease": Regime.LICENCE,
    "immigration": Regime.IMMIGRATION,
    "civil": Regime.UNKNOWN,
    "special": Regime.UNKNOWN,
}
"""Civil and special orders are made under laws of which no limit is known here."""
CONDITION_TYPES = {
    "bailorder": Regime.BAIL,
    "requirementofcommunityorder": Regime.COMMUNITY_ORDER,
    "requirementofacommunityorder": Regime.COMMUNITY_ORDER,
    "licenseconditionofacustodialorder": Regime.LICENCE,
    "licenceconditionofacustodialorder": Regime.LICENCE,
    "postsentencesupervisionrequirementfollowingonfromanadultcustodyorder": Regime.LICENCE,
}
"""Supervision after the sentence is treated as licence: the same people hold it, and no limit on hours is known."""
SENTENCES = {
    "communityyro": Regime.YOUTH_REHABILITATION,
    "youthrehabilitationorder": Regime.YOUTH_REHABILITATION,
    "communitysuspendedsentence": Regime.SUSPENDED_SENTENCE,
    "suspendedsentence": Regime.SUSPENDED_SENTENCE,
    "suspendedsentenceorder": Regime.SUSPENDED_SENTENCE,
}
YOUTH = ("yjs", "youthjusticeservice", "yot", "youthoffendingteam")


def regime_of(fields: Mapping[str, Any], adult: bool | None) -> tuple[Regime, list[Finding]]:
    """The regime, and what is doubtful about it. ``adult`` is what the wearer's message says."""
    found: list[Finding] = []
    said: list[Regime] = []
    for key, known in (("order_type", ORDER_TYPES), ("condition_type", CONDITION_TYPES)):
        value = fields.get(key)
        if is_absent(value):
            found.append(tasks.missing(key, f"the {key}", "It says under which law the order was made."))
        elif folded(value) in known:
            said.append(known[folded(value)])
        else:
            found.append(tasks.unknown_word(key, value, "see docs/intake.md"))
    doubtful = len(said) < len(found) + len(said) and any(one.kind == "unknown_word" for one in found)
    if not said or Regime.UNKNOWN in said or doubtful:
        return Regime.UNKNOWN, found
    if len(set(said)) > 1:
        what = (
            f"The order's type is {tasks.shown(fields.get('order_type'))} and its conditions are "
            f"{tasks.shown(fields.get('condition_type'))}, so the law that applies is not known"
        )
        return Regime.UNKNOWN, [*found, tasks.contradiction("order_type", what)]
    return _narrowed(said[0], fields, adult, found)


def _narrowed(
    regime: Regime, fields: Mapping[str, Any], adult: bool | None, found: list[Finding]
) -> tuple[Regime, list[Finding]]:
    detention = flag(fields.get("hdc"))
    if detention is None and not is_absent(fields.get("hdc")):
        found.append(tasks.unreadable("hdc", fields.get("hdc"), "yes or no"))
        return Regime.UNKNOWN, found
    if detention:
        if regime == Regime.LICENCE:
            return Regime.HOME_DETENTION_CURFEW, found
        what = (
            f"It is a home detention curfew, yet the order's type is {tasks.shown(fields.get('order_type'))}"
        )
        return Regime.UNKNOWN, [*found, tasks.contradiction("hdc", what)]
    if regime == Regime.LICENCE and is_absent(fields.get("hdc")):
        found.append(
            tasks.missing("hdc", "whether it is a home detention curfew", "It was taken for a licence.")
        )
    if regime != Regime.COMMUNITY_ORDER:
        return regime, found
    sentence = SENTENCES.get(folded(fields.get("sentence_type")))
    if sentence is not None:
        return sentence, found
    if folded(fields.get("responsible_organization")) in YOUTH:
        if adult:
            what = (
                f"A youth justice service ({text(fields.get('ro_region')) or 'not named'}) is responsible, so this was "
                "taken for a youth rehabilitation order, yet the wearer is told to be an adult"
            )
            found.append(tasks.contradiction("responsible_organization", what))
        return Regime.YOUTH_REHABILITATION, found
    if is_absent(fields.get("responsible_organization")):
        why = "It was taken for an adult's order; a youth justice service would make it a youth's."
        found.append(tasks.missing("responsible_organization", "who is responsible", why))
    return regime, found
