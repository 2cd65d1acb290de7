"""Records of visits that the policy no longer keeps: which they are, and how they go, with proof.

They are files and not rows, so no one transaction spans proof and deletion: the proof is written first and names the
files, and whoever runs next deletes what a proof names and is still there. Wherever power is cut, what is gone is
proven, and what is proven goes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlalchemy import Connection

from gateway import file_erasure, merkle
from gateway.backup import VISITS
from gateway.policy import Kind, Policy
from gateway.still_needed import Survey
from gateway.store.erasures import Proof
from gateway.whole_files import sync_folder, wipe

KIND: Kind = "visits"


def due(data_dir: Path, survey: Survey, policy: Policy, now_ms: int) -> Iterator[tuple[str, Path]]:
    """The folders of finished visits that are due, each with its order.

    The period counts as that of readings does. An order with a visit under way keeps all of its visits, and so does one
    under which nobody ever wore a tag: nobody can tell when its monitoring ended.
    """
    if policy.visits is None or survey.all_held:
        return
    going = {case.order_id for case in survey.cases.values() if case.due(policy, KIND, now_ms)}
    if not going:
        return
    folder = data_dir / VISITS
    under_way = {_order_of(path) for path in folder.glob("open/*.jsonl")}
    if "" in under_way:  # one that nobody can read may be of any order
        return
    for visit in sorted(folder.glob("done/*")):
        order_id = _order_of(visit / "journal.jsonl") or _order_of(visit / "record.json")
        if order_id in going and order_id not in under_way:
            yield order_id, visit


def prove(
    connection: Connection, order_id: str, visit: Path, policy: Policy, *, run: str, now_ms: int, by: str
) -> Proof:
    """Write the proof that a visit's files are deleted. Raises OSError."""
    files = {path.name: path.read_bytes() for path in sorted(visit.iterdir())}
    leaves = [merkle.leaf(content) for content in files.values()] or [merkle.leaf(b"")]
    about = {"order": order_id, "visit": visit.name, "files": list(files)}
    size = sum(map(len, files.values()))
    return file_erasure.prove(
        connection, leaves, size, kind=KIND, about=about, policy=policy, run=run, now_ms=now_ms, by=by
    )


def sweep(data_dir: Path, proofs: Iterator[Proof]) -> None:
    """Delete what proofs name and is still there. Raises OSError."""
    for proof in proofs:
        if proof.kind == KIND:
            told: Mapping[str, str] = json.loads(proof.about)
            folder = data_dir / VISITS / "done" / Path(told["visit"]).name
            if folder.is_dir() and not folder.is_symlink():
                for path in folder.iterdir():
                    wipe(path)
                folder.rmdir()
                sync_folder(folder.parent)


def _order_of(path: Path) -> str:
    """Which order a journal or a record is of; '' where it can not be read."""
    try:
        text = path.read_text("utf-8")
        told = json.loads(text if path.suffix == ".json" else text.splitlines()[0])
        return str(told["order"])
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return ""
