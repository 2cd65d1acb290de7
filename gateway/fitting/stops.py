"""Why a visit can not go on, for an officer in a hallway at 23:00: the fact, and the one thing to do next."""

from __future__ import annotations


class Stop(RuntimeError):  # noqa: N818 - the visit stops here; it is not always an error
    """The visit stops at a step. ``fact`` is what is so, ``remedy`` what to do, each without a full stop."""

    def __init__(self, fact: str, remedy: str) -> None:
        super().__init__(f"{fact}: {remedy}")
        self.fact = fact
        self.remedy = remedy


class CableGone(Stop):
    """The port is gone, or can not be used."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"the connection at {path} is gone",
            "push the plug in until it holds, and type the same command again; it goes on where it was",
        )


class BatteryFlat(Stop):
    """The device would not last the night: nobody is bound to it."""

    def __init__(self, device: str, said: object) -> None:
        super().__init__(
            f"battery of {device}: {said}",
            "charge it until its light stays on, or take another one, and type the same command again",
        )


class NoAnswer(Stop):
    """There is a port, and no device that speaks like ours."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"nothing at {path} answers as a tag does",
            "wipe the contacts, put the plug on again, and if it stays silent charge the tag for ten minutes",
        )
