"""What came in with an order and the policy no longer keeps: which it is, and how its files go, with proof.

Messages of the order service and tasks are rows, and go as other rows do (`gateway.due`). Attachments are files: the
proof is written with their rows gone, in one transaction, and names the files; whoever runs next deletes what a proof
names and is still there. Wherever power is cut, what is gone is proven, and what is proven goes.

What is said of a wearer belongs to all of their orders, and stays until the last of them is due.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import Connection

from gateway import file_erasure, merkle
from gateway.backup import ATTACHMENTS
from gateway.policy import DAY_MS, Kind, Policy
from gateway.still_needed import Survey
from gateway.store import intake
from gateway.store.erasures import Proof
from gateway.whole_files import sync_folder, wipe

KIND: Kind = "order_messages"


def due_cases(survey: Survey, policy: Policy, now_ms: int) -> Iterator[str]:
    """The cases of closed orders that are due, and of wearers all of whose orders are."""
    if survey.all_held:
        return
    going = {
        case.order_id for case in survey.cases.values() if case.closed and case.due(policy, KIND, now_ms)
    }
    theirs: dict[str, set[str]] = {}
    for order_id, wearer in survey.wearers.items():
        theirs.setdefault(wearer, set()).add(order_id)
    yield from sorted(going)
    yield from sorted(wearer for wearer, of in theirs.items() if of <= going)


def due_files(
    connection: Connection, cases: Iterable[str], policy: Policy, now_ms: int
) -> Iterator[tuple[str, list[intake.Attachment]]]:
    """Of each of these cases the attachments that have been here for so long; also where only the numbers by which a
    wearer is known are left.
    """
    assert policy.order_messages is not None
    before_ms = now_ms - policy.order_messages.days * DAY_MS
    for case_id in cases:
        files = [one for one in intake.attachments(connection, case_id) if one.received_ms <= before_ms]
        known = intake.identified(connection, case_id) and not intake.messages(connection, case_id)
        if files or known:
            yield case_id, files


def prove(
    connection: Connection,
    data_dir: Path,
    case_id: str,
    files: Sequence[intake.Attachment],
    policy: Policy,
    *,
    run: str,
    now_ms: int,
    by: str,
) -> Proof:
    """Delete the rows of a case's attachments, and by what numbers its wearer is known where no message is left.

    Writes the proof of it, and of the files. Raises OSError.
    """
    leaves, size = [], 0
    for one in files:
        content = _content(data_dir, one.id)
        # a file that is found in a backup is known by its bytes alone
        leaves += [merkle.leaf(json.dumps(asdict(one), sort_keys=True).encode()), merkle.leaf(content)]
        size += len(content)
    rows = {"order_attachment": len(files)} if files else {}
    intake.forget_attachments(connection, [one.id for one in files])
    if not intake.messages(connection, case_id):
        tokens = intake.identified(connection, case_id)
        leaves += [merkle.leaf(token.encode()) for token in tokens]
        rows |= {"order_identity": len(tokens)} if tokens else {}
        intake.identify(connection, case_id, ())
    about = {
        "case": case_id,
        "table": "order_attachment",
        "files": [one.id for one in files],
        "rows": rows,
    }
    return file_erasure.prove(
        connection, leaves, size, kind=KIND, about=about, policy=policy, run=run, now_ms=now_ms, by=by
    )


def sweep(data_dir: Path, proofs: Iterable[Proof]) -> None:
    """Delete the files that proofs name and that are still there. Raises OSError."""
    folder = data_dir / ATTACHMENTS
    for proof in proofs:
        told: Mapping[str, list[str]] = json.loads(proof.about) if proof.kind == KIND else {}
        for name in told.get("files", ()):
            path = folder / Path(name).name
            if path.is_symlink():
                path.unlink()
                sync_folder(folder)
            elif path.is_file():
                wipe(path)


def _content(data_dir: Path, name: str) -> bytes:
    """What a file holds; nothing where it is not there, as after a restore from the second store."""
    try:
        return (data_dir / ATTACHMENTS / name).read_bytes()
    except FileNotFoundError:
        return b""
