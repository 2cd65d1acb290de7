"""Plants a fault into an ingest that is started with this folder on ``PYTHONPATH``: the file ``PLANTED`` says which.

That is JSON, looked at each time: ``at`` ("message" or "judging"), ``who`` (a device, or the beginning of an
activation's id) and ``how`` ("raise", "kill" or "hang"). Nothing happens while there is no such file.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def _strike(at: str, present: Iterable[str]) -> None:
    try:
        fault = json.loads(Path(os.environ["PLANTED"]).read_text())
    except (OSError, ValueError):
        return
    if fault["at"] != at or not any(fault["who"] in one for one in present):
        return
    if fault["how"] == "raise":
        raise IndexError("planted")
    if fault["how"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    while True:
        time.sleep(60)


def _before(owner: type, name: str, strike: Callable[..., None]) -> None:
    plain = getattr(owner, name)

    def planted(self: Any, *arguments: Any, **named: Any) -> Any:
        strike(*arguments)
        return plain(self, *arguments, **named)

    setattr(owner, name, planted)


if "gateway.ingest" in sys.orig_argv:
    from core.monitor import Monitor
    from gateway.commit import Committer

    _before(Committer, "commit", lambda messages: _strike("message", [message.topic for message in messages]))
    _before(
        Monitor,
        "_feed",
        lambda cases: _strike("judging", [one.activation.id for one in cases if len(one.timeline)]),
    )
