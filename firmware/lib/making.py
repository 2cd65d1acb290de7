"""How readings are made: whoever has something to tell appends it to the journal and wakes whoever sends it on."""

from counters import count

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from journal import Journal
    from link import Wakes


def make(journal: "Journal", link: "Wakes", kind: int, t_ds: int, body: bytes, urgent: bool = False) -> bool:
    """Make a reading; whether flash took it. Never raises: a refusal is counted, and whoever tells may try again."""
    try:
        journal.append(kind, t_ds, body, urgent)
    except OSError:
        count("flash_errors")
        return False
    link.wake(urgent)
    return True
