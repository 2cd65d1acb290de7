"""A named person takes notice of an alert: by the command or on the page, and nobody else is told of it any more."""

from __future__ import annotations

from dataclasses import dataclass

from gateway import users
from gateway.store import Store, looks, outbox

_LONGEST_NAME = 100
LONGEST_NOTE = 1000


class AcknowledgementError(ValueError):
    """It can not be acknowledged so; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Signed:
    """Who was signed in, and to what they said it: the ``revision`` they saw, and what they wrote beside it."""

    account: str
    address: str
    revision: int
    note: str = ""


def acknowledge(store: Store, number: int, person: str, now_ms: int, signed: Signed | None = None) -> int:
    """``person`` takes notice of an alert; nobody else is told of it any more. Returns the revision that stands.

    By the command it is the alert as it stands now; one who was ``signed`` in takes notice of what was seen, and saying
    it twice changes nothing. ``now_ms`` is gateway time. Raises AcknowledgementError where there is no such alert,
    nobody is named, or the note is too long.
    """
    name = " ".join(person.split())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise AcknowledgementError(
            "an alert is acknowledged by a named person: give a name of up to 100 letters"
        )
    with store.write() as connection:
        if signed is None:
            revision = outbox.acknowledge(connection, number, name, now_ms)
        else:
            revision = outbox.acknowledge(
                connection,
                number,
                name,
                now_ms,
                seen=signed.revision,
                note=note_of(signed.note),
                account=signed.account,
            )
        if revision is None:
            raise AcknowledgementError(f"there is no alert {number}: see `tagwatch alerts`")
        if signed is not None:
            looks.add(
                connection,
                users.present_ms(connection),
                signed.account,
                "acknowledged",
                alerts=[f"{number}.{revision}"],
                address=signed.address,
            )
    return revision


def note_of(text: str) -> str:
    """A note as it is kept: lines without what does not print. Raises AcknowledgementError where it is too long."""
    lines = ("".join(letter for letter in line if letter.isprintable()).strip() for line in text.splitlines())
    kept = "\n".join(lines).strip()
    if len(kept) > LONGEST_NOTE:
        raise AcknowledgementError(f"the note has {len(kept)} letters, and may have {LONGEST_NOTE}")
    return kept
