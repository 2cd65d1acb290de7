"""The one list of what can be wrong with a gateway that runs, each with its limit.

`/ready` and `/metrics` (`gateway.metrics`), `tagwatch doctor` (`gateway.doctor.conclusions`) and the dead man's switch
(`gateway.delivery.heartbeat`) all judge by it, so none of them calls well what another calls broken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gateway.control import Control, ControlError
from gateway.settings import Settings

Severity = Literal["good", "note", "unknown", "warning", "problem"]

STALLED_S = 5.0
"""An ingest that does nothing for so long, and has not said that it would, hangs or waits for a disk that does."""
BEHIND_S = 10.0
"""Everybody is judged every second; after ten missed times alerts come late."""
QUEUE_SHARE = 0.5
"""More of the queue than this is taken only where the disk does not keep up."""
STOPS_FREE_BYTES = 32 * 1024 * 1024
"""Below this the next commit may fail: SQLite's log alone may need so much."""
PROBLEM_FREE_BYTES = 200 * 1024 * 1024
"""Below this the next day of a thousand wearers, or one migration, may not fit."""
WARNING_FREE_BYTES = 2048 * 1024 * 1024
WARNING_FREE_SHARE = 0.1
PROBLEM_INODES = 1000
_MIB = 1024 * 1024
_SILENT = "the ingest does not answer"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``why`` and ``remedy`` are empty where it is good.

    ``part`` of the gateway; ``stops``: while it is so the gateway does not do its work.
    """

    check: str
    severity: Severity
    fact: str
    why: str = ""
    remedy: str = ""
    part: str = ""
    stops: bool = False


@dataclass(frozen=True, slots=True)
class IngestFacts:
    """What the ingest said over its control socket; ``problem`` where it did not answer."""

    problem: str = ""
    connected: bool = False
    trouble: str = ""
    working: str = ""
    queue: int = 0
    queue_size: int = 1
    stalled_s: float = 0.0
    judged_ago_s: float | None = 0.0
    """None where nobody has been judged since it started."""
    unjudged: int = 0
    """So many wearers are still to be judged by what is stored of them."""
    put_aside: int = 0
    """So many wearers can not be judged by this program."""
    stepped: bool = False
    """It is told when to judge."""
    time_known: bool = True
    time_doubt: str = ""
    replica: str = ""
    """Where the second store is; empty where there is none."""
    replica_trouble: str = ""


def ingest_facts(said: Mapping[str, Any] | None, problem: str, queue_size: int) -> IngestFacts:
    """From the ingest's status, or why there is none."""
    if said is None:
        return IngestFacts(problem=problem or _SILENT)
    time = said.get("time") or {}
    copied = said.get("replica") or {}
    return IngestFacts(
        connected=bool(said["connected"]),
        trouble=str(said["trouble"]),
        working=str(said["working"]),
        queue=int(said["queue"]),
        queue_size=queue_size,
        stalled_s=float(said.get("stalled_s", 0.0)),
        judged_ago_s=said.get("judged_ago_s"),
        unjudged=int(said.get("unjudged", 0)),
        put_aside=len(said.get("put_aside", ())),
        stepped=said.get("clock") == "stepped",
        time_known=bool(time.get("known", True)),
        time_doubt=str(time.get("doubt", "")),
        replica=str(copied.get("place", "")),
        replica_trouble=str(copied.get("trouble", "")),
    )


def ask_ingest(settings: Settings, timeout_s: float) -> tuple[Mapping[str, Any] | None, IngestFacts]:
    """Its status, and what is judged of it. Never fails; takes at most about ``timeout_s``."""
    control = Control(settings.control_path, timeout_s=timeout_s)
    said: Mapping[str, Any] | None = None
    problem = ""
    try:
        said = control.status()
    except ControlError as error:
        problem = _SILENT if "control" in str(error) else str(error)
    finally:
        control.close()
    return said, ingest_facts(said, problem, settings.queue_size)


def stopping(found: Iterable[Finding]) -> list[Finding]:
    """Those for which the gateway does not do its work."""
    return [one for one in found if one.stops]


def ingest(facts: IngestFacts) -> Iterator[Finding]:
    """Does it receive, commit and judge?"""
    if facts.problem:
        yield Finding(
            "ingest",
            "problem",
            facts.problem if facts.problem.startswith(_SILENT) else f"{_SILENT}: {facts.problem}",
            "Nothing is committed and nobody is judged while it does not work.",
            "It is restarted by itself within a minute; if not: journalctl -u tagwatch.",
            "ingest",
            stops=True,
        )
        return
    yield from _commits(facts)
    yield from _judges(facts)
    yield from time(facts)
    if facts.replica_trouble:
        yield replica_fails(facts.replica, facts.replica_trouble)


def replica_fails(place: str, problem: str) -> Finding:
    """The second store does not take what tags wait for."""
    return Finding(
        "replica",
        "problem",
        f"the replica {place} can not be written: {problem}",
        "Readings are stored here and judged, but no tag is told to forget: journals fill up.",
        "Bring it back: what it missed is copied by itself, and tags are told then.",
        "replica",
        stops=True,
    )


def _commits(facts: IngestFacts) -> Iterator[Finding]:
    if facts.trouble:
        yield Finding(
            "ingest",
            "problem",
            f"the store can not be written: {facts.trouble}",
            "Nothing is acknowledged until it can; tags keep their readings.",
            "See the findings about the disk; it goes on by itself when the store can be written again.",
            "store",
            stops=True,
        )
    if not facts.connected:
        yield Finding(
            "ingest",
            "warning" if facts.working else "problem",
            "the ingest is not connected to the broker" + (f": {facts.working}" * bool(facts.working)),
            "No reading is received; tags keep theirs meanwhile.",
            "See the finding about the broker. After an update the rules are compiled first: wait a minute.",
            "broker",
            stops=True,
        )
    if facts.queue > facts.queue_size * QUEUE_SHARE:
        yield Finding(
            "ingest",
            "warning",
            f"{facts.queue} messages wait to be committed",
            "More comes than the disk takes. Nothing is lost, but alerts come late.",
            "A higher group_ms on a slow disk; a faster disk; fewer wearers on this box.",
            "ingest",
            stops=True,
        )
    if facts.stalled_s > STALLED_S:
        yield Finding(
            "ingest",
            "problem",
            f"the ingest has done nothing for {facts.stalled_s:.0f} s",
            "Nothing is committed and nobody is judged meanwhile.",
            "It is restarted by itself; if not: systemctl restart tagwatch.",
            "ingest",
            stops=True,
        )


def _judges(facts: IngestFacts) -> Iterator[Finding]:
    if facts.put_aside:
        yield Finding(
            "put aside",
            "problem",
            f"{facts.put_aside} wearers can not be judged: the program fails at what is stored of them",
            "Their readings are kept, but no alert of theirs is raised.",
            "See the alerts `not_judged`, and journalctl -u tagwatch for the error; watch these people otherwise. "
            "A newer version tries again by itself, and so does `tagwatch judge-again`.",
            "judging",
        )
    if facts.stepped:
        return
    ago_s = facts.judged_ago_s
    if facts.unjudged:
        yield Finding(
            "judging",
            "warning",
            f"{facts.unjudged} wearers are still to be judged by what is stored of them",
            "What they send is committed meanwhile; alerts of theirs come late.",
            "After an upgrade that takes about 7 s for a million stored readings. If the number does not fall: "
            "journalctl -u tagwatch.",
            "judging",
            stops=True,
        )
    elif ago_s is None or ago_s > BEHIND_S:
        yield Finding(
            "judging",
            "warning" if ago_s is None else "problem",
            "nobody has been judged since the ingest started"
            if ago_s is None
            else f"everybody was judged {ago_s:.0f} s ago",
            "Alerts come late, those about silence above all.",
            "After a start it takes seconds. If it lasts: journalctl -u tagwatch; the box may be too slow.",
            "judging",
            stops=True,
        )


def time(facts: IngestFacts) -> Iterator[Finding]:
    """Does the gateway know what time it is?"""
    if not facts.time_known:
        yield Finding(
            "time",
            "problem",
            f"the gateway does not know what time it is: {facts.time_doubt or 'nobody has told it'}",
            "Whoever is silent is told of late; readings that seem to be of the future wait; no tag is told the time.",
            "See the findings about the clock. Where no time server can be reached: set the box's clock, then "
            "`tagwatch clock believe`.",
            "clock",
            stops=True,
        )
    elif facts.time_doubt:
        yield Finding(
            "time",
            "problem",
            f"gateway time is in doubt: {facts.time_doubt}",
            "Somebody or something has set a clock wrongly. The gateway goes on by its own time; no tag is told it.",
            "Find out which is right. If it is the box's clock: `tagwatch clock believe`.",
            "clock",
        )


def disk(
    free_bytes: int, size_bytes: int, free_inodes: int | None = None, *, read_only: bool
) -> Iterator[Finding]:
    """Can the store grow, and be written at all? ``free_inodes`` is None where the file system does not count them."""
    if read_only:
        yield Finding(
            "disk",
            "problem",
            "the file system can only be read",
            "Nothing can be committed. Linux makes a disk read-only when it fails.",
            "Look at `dmesg`; replace the disk if it names errors; then mount it writable; the gateway goes on alone.",
            "store",
            stops=True,
        )
    free = f"{free_bytes / _MIB:,.0f} MiB of {size_bytes / _MIB:,.0f} MiB are free"
    why = "When it is full nothing is acknowledged: tags keep their readings until their journals are full, too."
    more = "Delete what does not belong there, or give it a larger disk."
    if free_bytes < PROBLEM_FREE_BYTES:
        stops = free_bytes < STOPS_FREE_BYTES
        yield Finding("disk", "problem", free, why, more, "store", stops=stops)
    elif free_bytes < min(WARNING_FREE_BYTES, WARNING_FREE_SHARE * size_bytes):
        yield Finding("disk", "warning", free, why, more, "store")
    else:
        yield Finding("disk", "good", free, part="store")
    if free_inodes is not None and free_inodes < PROBLEM_INODES:
        yield Finding(
            "disk",
            "problem",
            f"only {free_inodes} more files can be made",
            why,
            more,
            "store",
            stops=not free_inodes,
        )


def unreadable_store() -> Finding:
    """Nobody can look anything up."""
    return Finding(
        "store",
        "problem",
        "the store can not be read",
        "Nothing can be committed, judged or shown.",
        "See the findings about disk and files; restore the last backup if the file is damaged.",
        "store",
        stops=True,
    )
