"""What the doctor concludes about what is kept: the store, and the second one that tags wait for."""

from __future__ import annotations

from gateway import findings
from gateway.doctor.facts import Facts
from gateway.findings import Finding


def store(facts: Facts) -> list[Finding]:
    """Is the store of this program's form, and whole?"""
    held = facts.store
    if held is None:
        return []
    if held.problem:
        return [
            Finding(
                "store",
                "problem",
                f"the store can not be read: {held.problem}",
                "Nothing can be committed, judged or shown.",
                "See the findings about disk and files; restore the last backup if the file is damaged.",
            )
        ]
    if not held.exists:
        return [
            Finding(
                "store",
                "note",
                "there is no store yet",
                "It is made at the first start.",
                "Start the gateway.",
            )
        ]
    found = []
    if held.newer:
        found.append(
            Finding(
                "store",
                "problem",
                f"the store is of form {held.form}, which this program (form {held.head}) does not know",
                "This program refuses to open it: it could spoil evidence that it does not understand.",
                "Run the newer program, or restore the backup made before the upgrade.",
            )
        )
    elif held.form != held.head:
        found.append(
            Finding(
                "store",
                "warning",
                f"the store is of form {held.form or 'none'}; the next start makes it {held.head}",
                "An older program can not open it afterwards.",
                "Make a backup before the start.",
            )
        )
    else:
        found.append(Finding("store", "good", f"the store is of this program's form, {held.head}"))
    if not held.checked:
        return found
    if held.sound is None:
        found.append(
            Finding(
                "store",
                "unknown",
                "the store's soundness was not found out in time",
                "A damaged page shows only when it is read.",
                "Run `tagwatch doctor --thorough` at a quiet hour.",
            )
        )
    elif not held.sound:
        found.append(
            Finding(
                "store",
                "problem",
                f"the store is damaged: {held.damage}",
                "Some of the evidence may be unreadable, and it can become more.",
                "Stop the gateway, copy the store as it is, restore the last backup; tags send again what they kept.",
            )
        )
    else:
        found.append(Finding("store", "good", "the store is whole"))
    return found


def replica(facts: Facts) -> list[Finding]:
    """Does the second store take what tags wait for?"""
    copy = facts.replica
    if copy is None:
        return []
    if copy.problem:
        return [findings.replica_fails(copy.place, copy.problem)]
    if copy.same_disk:
        return [
            Finding(
                "replica",
                "warning",
                f"the replica {copy.place} lies on the same disk as the store",
                "When that disk ends both copies end.",
                "Put it on another disk, or better into a PostgreSQL database on another machine.",
            )
        ]
    if facts.ingest is not None and facts.ingest.replica_trouble:
        return []  # the ingest has told
    return [Finding("replica", "good", f"the replica {copy.place} can be written")]
