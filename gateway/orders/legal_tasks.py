"""What the law has against an order, as tasks for people: whichever way the order came or was changed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from core.law import LegalProblem
from gateway.orders import tasks
from gateway.store import intake


def see_to(
    connection: Connection, order_id: str, problems: Sequence[LegalProblem], version: int, now_ms: int
) -> None:
    """Each problem is a task; one that is found no more is done by this version. In the transaction that makes it."""
    found = {(one.kind, one.about): one for one in map(tasks.of_law, problems)}
    for one in found.values():
        intake.raise_task(connection, order_id, one.kind, one.about, one.sentence, version, now_ms)
    gone = [
        row.id
        for row in intake.tasks(connection, order_id)
        if row.kind == tasks.LAW and (row.kind, row.about) not in found
    ]
    intake.settle(connection, gone, f"{intake.BY_VERSION}{version}", now_ms)
