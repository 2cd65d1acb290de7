"""The proof that files are deleted: they belong to no device, so its leaves have numbers of their own, from 1 on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from gateway.policy import Kind, Policy
from gateway.sequences import Span
from gateway.store import erasures
from gateway.store.erasures import Gone, Proof


def prove(
    connection: Connection,
    leaves: Sequence[bytes],
    size: int,
    *,
    kind: Kind,
    about: Mapping[str, Any],
    policy: Policy,
    run: str,
    now_ms: int,
    by: str,
) -> Proof:
    """Write the proof of what is hashed in ``leaves``, at least one, of ``size`` bytes; ``about`` names the files."""
    return erasures.prove(
        connection,
        [Gone("", 0, (Span(1, len(leaves)),), None, None, tuple(leaves))],
        run=run,
        at_ms=now_ms,
        by=by,
        kind=kind,
        about={**about, "policy_sha256": policy.digest},
        version=policy.version,
        policy=policy.said(kind),
        size=size,
    )
