"""What the ingest was at when it ended: what ends it again and again is put aside, so that everybody else goes on.

A message or a reading over which this program fails raises an error, and that is caught where it happens. One over
which it crashes or hangs takes the whole process with it, and would do so after each restart, for a tag says again what
nobody has committed, and a start judges again what is stored. So the process notes beforehand what it is about to do,
in memory that outlives it (a file, never synced: a power cut is nobody's fault), and the next process reads that note:

- messages at which it ended are decided upon alone; one that was alone ``MESSAGE_DEATHS`` times in a row when the
  process ended is refused: it goes into quarantine, its tag keeps what it holds, and people are told of its silence;
- when it ended ``JUDGING_DEATHS`` times in a row while judging, wearers are judged one by one, and the wearer at whom
  it ends as often again is put aside until the program changes or somebody asks (`gateway.put_aside` tells people).

Each count begins anew as soon as the work was done once. A kill from outside is taken for an end as well; that it meets
the same message, or the same wearer, so often in a row is not to be expected, and nothing is lost where it does.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from gateway.group import Received
from gateway.whole_files import write_whole

log = structlog.get_logger(__name__)

MESSAGE_DEATHS = 3
JUDGING_DEATHS = 2
EVERYBODY = "*"
"""Who is judged where it is not one wearer alone."""
_ENDED = "the program ends whenever it does that"
_MOST_ENDED = 3
"""More are not put aside for that: where it ends at everybody, leaving people out mends nothing."""
_HEAD = 8


class Suspects:
    """The notes of one data folder, used by one thread. ``program``: what a wearer is put aside for belongs to it.

    That a note can not be written is never an error: without it only the next process knows less.
    """

    def __init__(self, folder: Path, program: str) -> None:
        self._kept, self._program = folder / "suspects.json", program
        self._note = self._opened(folder / "at-work")
        self._deaths: dict[str, int] = {}
        """How often in a row the process ended at a message that was alone; 0: it was one of several."""
        self._judging: dict[str, int] = {}
        self.aside: dict[str, str] = {}
        """Activations that can not be judged, and what happens."""
        self._recall()
        self._blame(_read(self._note))

    def close(self) -> None:
        """The process ends by itself: it is at nothing."""
        self.idle()
        if self._note is not None:
            os.close(self._note)
            self._note = None

    def apart(self, messages: Sequence[Received]) -> list[Sequence[Received]]:
        """``messages`` in their order, in groups: each that is a suspect alone, the others together."""
        if not self._deaths:
            return [messages] if messages else []
        groups: list[list[Received]] = []
        alone = True
        for message in messages:
            suspect = digest(message) in self._deaths
            if suspect or alone:
                groups.append([])
            groups[-1].append(message)
            alone = suspect
        return list(groups)

    def is_guilty(self, message: Received) -> bool:
        """Has the process ended at this one so often that it is to be refused?"""
        return bool(self._deaths) and self._deaths.get(digest(message), 0) >= MESSAGE_DEATHS

    def deciding(self, messages: Sequence[Received]) -> None:
        """These are about to be decided upon."""
        self._say({"messages": [digest(message) for message in messages]})

    def decided(self, messages: Sequence[Received]) -> None:
        """It was done."""
        self.idle()
        if self._deaths:
            cleared = [self._deaths.pop(digest(message), 0) for message in messages]
            if any(cleared) or not self._deaths:
                self._keep()

    def judging(self, who: str = EVERYBODY) -> None:
        """``who`` is about to be judged."""
        self._say({"judging": who})

    def idle(self) -> None:
        """It is at nothing over which it could fail."""
        if self._note is not None:
            with contextlib.suppress(OSError):
                os.pwrite(self._note, b"0" * _HEAD, 0)

    def judged(self) -> None:
        """Everybody was judged."""
        if self._judging:
            self._judging.clear()
            self._keep()

    @property
    def careful(self) -> bool:
        """Are wearers to be judged one by one, to find who it is?"""
        return any(count >= JUDGING_DEATHS for count in self._judging.values())

    def put_aside(self, activation_id: str, why: str) -> None:
        """This wearer can not be judged by this program."""
        self.aside[activation_id] = why
        self._judging.clear()
        self._keep()

    def take_back(self) -> list[str]:
        """Judge everybody again; returns who had been put aside."""
        names = sorted(self.aside)
        self.aside.clear()
        self._judging.clear()
        self._keep()
        return names

    def _blame(self, before: dict[str, Any]) -> None:
        messages = [str(one) for one in before.get("messages", ())]
        for one in messages:
            self._deaths[one] = self._deaths.get(one, 0) + (len(messages) == 1)
        if messages:
            log.warning(
                "the process before this one ended over messages: they are decided upon one by one",
                messages=len(messages),
                times=max(self._deaths[one] for one in messages),
            )
        who = before.get("judging")
        if who is not None:
            times = self._judging[who] = self._judging.get(str(who), 0) + 1
            log.warning("the process before this one ended while judging", activation=who, times=times)
            if who != EVERYBODY and times >= JUDGING_DEATHS:
                if sum(why == _ENDED for why in self.aside.values()) < _MOST_ENDED:
                    self.aside[who] = _ENDED
                    self._judging.clear()
                else:
                    log.error("it ends at one wearer after the other: that is not the fault of one")
        if before:
            self._keep()
        self.idle()

    def _recall(self) -> None:
        try:
            kept = json.loads(self._kept.read_bytes())
            deaths, judging, aside = kept["deaths"], kept["judging"], kept["aside"]
            same = kept["program"] == self._program
        except (OSError, ValueError, KeyError, TypeError):
            return  # there is none, or it tells nothing: everything is tried again
        if same:
            self._deaths, self._judging, self.aside = dict(deaths), dict(judging), dict(aside)

    def _keep(self) -> None:
        kept = {
            "program": self._program,
            "deaths": self._deaths,
            "judging": self._judging,
            "aside": self.aside,
        }
        with contextlib.suppress(OSError):
            write_whole(self._kept, json.dumps(kept, indent=1).encode(), 0o600)

    def _say(self, what: dict[str, Any]) -> None:
        if self._note is not None:
            text = json.dumps(what).encode()
            with contextlib.suppress(OSError):
                os.pwrite(self._note, b"%0*d" % (_HEAD, len(text)) + text, 0)

    @staticmethod
    def _opened(path: Path) -> int | None:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            log.warning("what is at work can not be noted", problem=error.strerror)
            return None


def digest(message: Received) -> str:
    """What a message is called here: the same whenever a tag says it again."""
    found = hashlib.blake2b(message.topic.encode(errors="replace"), digest_size=12)
    found.update(message.data)
    return found.hexdigest()


def _read(note: int | None) -> dict[str, Any]:
    """What the process before was at; nothing where it ended by itself, or was not at anything."""
    if note is None:
        return {}
    try:
        head = os.pread(note, _HEAD, 0)
        found = json.loads(os.pread(note, int(head), _HEAD)) if head.isdigit() and int(head) else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
