"""The journal of a visit: each step before it is begun and after it is done, one line of JSON each, on disk at once.

One file for each visit under way, ``visits/open/…jsonl`` in the data folder, named after order and purpose, so that the
same command finds it again; it is locked while a command writes it. A last line that a killed command left half written
counts as never written. A finished visit's journal moves to ``visits/done``. No key and no name is ever written there.
See docs/decisions/0026-a-visit-has-a-journal-of-its-own.md.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

from gateway.fitting.stops import Stop
from gateway.whole_files import sync_folder

Facts = dict[str, Any]
Is = Literal["begun", "done", "stopped"]
FOLDER, OPEN, DONE = "visits", "open", "done"


class Journal:
    """A visit's journal, locked as long as this is open. Raises Stop where another command has it."""

    def __init__(self, data_dir: Path, order_id: str, purpose: str, visit: str, at: str) -> None:
        self.data_dir = data_dir
        self.folder = data_dir / FOLDER
        for folder in (self.folder / OPEN, self.folder / DONE):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        plain = re.sub(r"[^A-Za-z0-9-]", "_", order_id)[:40]
        digest = hashlib.sha256(f"{order_id}\0{purpose}".encode()).hexdigest()[:12]
        self.path = self.folder / OPEN / f"{plain}-{purpose}-{digest}.jsonl"
        self._file = _locked(self.path)
        if self._file is None:
            raise Stop(
                f"another command is at this visit of order {order_id} now",
                "wait for it, or end it where it runs",
            )
        lines = self._whole_lines()
        self.resumed = bool(lines)
        if not lines:
            self._write({"visit": visit, "order": order_id, "purpose": purpose, "at": at})
            sync_folder(self.path.parent)
            lines = self._whole_lines()
        self.order = order_id
        self.visit: str = lines[0]["visit"]
        self.began: str = lines[0]["at"]
        self.lines = lines[1:]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def note(self, step: str, now: Is, at: str, facts: Mapping[str, Any]) -> None:
        """Write down where a step stands; it is on disk when this returns. Raises OSError."""
        line = {"step": step, "is": now, "at": at, "facts": dict(facts)}
        self._write(line)
        self.lines.append(line)

    def done(self, step: str) -> Facts | None:
        """What a step has brought, where it was done in this visit; the newest."""
        return self._newest(step, "done")

    def begun(self, step: str) -> Facts | None:
        """With what a step was begun last, where it was."""
        return self._newest(step, "begun")

    @staticmethod
    def waiting(data_dir: Path, step: str, purpose: str = "fit") -> list[str]:
        """The orders whose visits for that purpose lie here unfinished, with that step done."""
        found = []
        for path in sorted((data_dir / FOLDER / OPEN).glob("*.jsonl")):
            lines = [json.loads(one) for one in path.read_text("utf-8").split("\n")[:-1] if one.endswith("}")]
            done = any((line.get("step"), line.get("is")) == (step, "done") for line in lines)
            if done and lines[0]["purpose"] == purpose:
                found.append(lines[0]["order"])
        return found

    def close_visit(self) -> Path:
        """The visit is over: its journal goes where finished ones lie. Raises OSError."""
        final = self.folder / DONE / self.visit
        final.mkdir(mode=0o700, exist_ok=True)
        kept = final / "journal.jsonl"
        self.path.replace(kept)
        sync_folder(final)
        sync_folder(self.path.parent)
        return kept

    def every_done(self) -> dict[str, Facts]:
        """What the steps that were done have brought, by step; the newest of each."""
        return {line["step"]: line["facts"] for line in self.lines if line["is"] == "done"}

    def _newest(self, step: str, now: Is) -> Facts | None:
        lines = (line for line in reversed(self.lines) if line["step"] == step and line["is"] == now)
        return next((line["facts"] for line in lines), None)

    def _whole_lines(self) -> list[dict[str, Any]]:
        self._open.seek(0)
        lines: list[dict[str, Any]] = []
        whole = 0
        for raw in self._open.read().splitlines(keepends=True):
            try:
                line = json.loads(raw)
            except ValueError:
                break
            if not raw.endswith(b"\n"):
                break
            lines.append(line)
            whole += len(raw)
        # what a killed command left half written would spoil the next line
        self._open.truncate(whole)
        return lines

    @property
    def _open(self) -> BinaryIO:
        assert self._file is not None
        return self._file

    def _write(self, line: Mapping[str, Any]) -> None:
        self._open.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self._open.flush()
        os.fsync(self._open.fileno())


def _locked(path: Path) -> BinaryIO | None:
    """The file of that path, open, locked and ours; None where another has it."""
    while True:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                return file
        except BlockingIOError:
            file.close()
            return None
        except FileNotFoundError:
            pass  # it was moved before it was ours: its visit is over, and another begins
        file.close()
