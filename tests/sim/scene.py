"""A test's part of a rig: its time goes on step by step, and what the gateway tells of it can be asked."""

from __future__ import annotations

from typing import Any

from sim.rig import Rig


class Scene:
    """What happens on ``rig`` from ``start_ms`` on; with ``device`` only what is told of that."""

    def __init__(self, rig: Rig, start_ms: int, *, step_ms: int, device: str | None = None) -> None:
        self.rig, self.now_ms, self.device = rig, start_ms, device
        self._step_ms = step_ms

    def live(self, to_ms: int, step_ms: int | None = None) -> None:
        """Go on to an instant; the gateway judges at the end of each step."""
        while self.now_ms < to_ms:
            self.now_ms = min(self.now_ms + (step_ms or self._step_ms), to_ms)
            self.rig.advance(self.now_ms)

    def told(self, *rules: str) -> list[dict[str, Any]]:
        """The alerts that stand, oldest first: all, or those of ``rules``."""
        return [
            alert
            for alert in self.rig.alerts(self.device)
            if alert["state"] != "withdrawn" and (not rules or alert["rule"] in rules)
        ]
