"""No contact: a device from which nothing was received for too long.

This is about receipts, in the gateway's time, and stands outside design law 3: an alert of no contact is ended when
something is heard again, never withdrawn, because it was true that nothing had been heard.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from core.activation import ALWAYS_MS, Activation
from core.alerts import Alert, about_activation, civil, iso_utc, raise_alert
from core.rules import RuleSet

NO_CONTACT = "no_contact"
CONDITION = "equipment"


@dataclass(slots=True)
class Contact:
    """When a device was heard last, and what was told of its silence. ``heard_ms`` None: nobody listens for it yet."""

    heard_ms: int | None = None
    told: Alert | None = None
    since_ms: int = -ALWAYS_MS
    """When the device had been heard last before the silence that ``told`` is about."""

    @property
    def silent(self) -> bool:
        """Is an alert open?"""
        return self.told is not None and self.told.state == "open"

    def hear(self, t_ms: int) -> bool:
        """Something was received at ``t_ms``, gateway time; True if there is something to judge."""
        if self.heard_ms is not None and t_ms <= self.heard_ms:
            return False
        first, self.heard_ms = self.heard_ms is None, t_ms
        return first or self.silent

    def judge(self, activation: Activation, now_ms: int, rules: RuleSet) -> tuple[list[Alert], int]:
        """What changed at ``now_ms``, and when time alone will change something."""
        if self.heard_ms is None:
            return [], ALWAYS_MS
        changed: list[Alert] = []
        removed_ms = ALWAYS_MS if activation.removed_ms is None else activation.removed_ms
        due_ms = max(self.heard_ms, activation.fitted_ms) + rules.no_contact_s * 1000
        if self.told is not None and self.silent:
            heard_again = self.heard_ms > self.since_ms
            if heard_again or removed_ms <= now_ms:
                end_ms = max(self.told.start_ms, self.heard_ms if heard_again else removed_ms)
                self.told = ended(self.told, end_ms, rules)
                changed.append(self.told)
        if due_ms <= now_ms < removed_ms and self.since_ms != self.heard_ms:
            self.told, self.since_ms = _raised(activation, self.heard_ms, due_ms, rules), self.heard_ms
            changed.append(self.told)
        again_ms = removed_ms if self.silent else due_ms
        return changed, again_ms if now_ms < again_ms <= removed_ms else ALWAYS_MS


def _raised(activation: Activation, heard_ms: int, start_ms: int, rules: RuleSet) -> Alert:
    return raise_alert(
        about_activation(activation, CONDITION, start_ms, rules.version),
        NO_CONTACT,
        "medium",
        start_ms,
        None,
        f"Nothing received from device {activation.device} since {civil(heard_ms, rules.timezone)}, "
        f"for more than {rules.no_contact_s // 60} min.",
        {"heard": iso_utc(heard_ms), "after_min": rules.no_contact_s // 60},
        (),
        (heard_ms,),
    )


def ended(alert: Alert, end_ms: int, rules: RuleSet) -> Alert:
    """The alert of a silence that was over at ``end_ms``."""
    figures = dict(alert.figures) | {
        "silent_min": (end_ms - alert.start_ms) // 60_000 + rules.no_contact_s // 60
    }
    sentence = f"{alert.sentence[:-1]}; over at {civil(end_ms, rules.timezone)}."
    return replace(alert, state="ended", end_ms=end_ms, figures=figures, sentence=sentence)
