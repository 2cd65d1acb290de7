"""A power cut after which the disk has forgotten what was not synced: work ended before each sync (`lost_pages.c`).

What is left then is made here: of each file what was synced, or any mixture, page by page, of that and what was written
since; of names that were made, changed or removed since, all or none.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tests.gateway.forked import forked

PAGE = 4096
Work = Callable[[Path, Callable[[str], None]], None]
Kept = Literal["synced", "written", "mixed"]
Names = Literal["synced", "written"]
_SOURCE = Path(__file__).with_suffix(".c")
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class End:
    """How the work ended: at a sync, or by itself after ``syncs`` of them; and what it had said by then."""

    cut: bool
    syncs: int
    said: list[str]


class Power:
    """Does work on a copy of ``template`` with the power about to go. A context manager.

    ``work`` is a function of a module, called in a process of its own with the box and a function that tells what is
    surely done. Raises FileNotFoundError where there is no C compiler.
    """

    def __init__(self, folder: Path, template: Path, work: Work) -> None:
        self.box, self._disk, self._said = folder / "box", folder / "disk", folder / "said"
        self._template = template
        library = folder / "lost_pages.so"
        subprocess.run(
            ["cc", "-O1", "-shared", "-fPIC", "-o", library, _SOURCE, "-ldl"], check=True, timeout=60
        )
        environment = {"LD_PRELOAD": str(library), "LOST_BOX": str(self.box), "LOST_DISK": str(self._disk)}
        self._server = subprocess.Popen(
            [sys.executable, "-m", __name__, work.__module__, work.__name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
            env=os.environ | environment,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in (self._server.stdin, self._server.stdout):
            assert stream is not None
            stream.close()
        self._server.wait(30)

    def until(self, sync: int) -> End:
        """Begin anew, and work until just before that sync; 0: to the end."""
        for folder in (self.box, self._disk):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._template, self.box)
        for kind in ("data", "name", "link"):
            (self._disk / kind).mkdir(parents=True)
        for path in self._files(self.box):  # what there was before is on the disk
            inode = str(path.stat().st_ino)
            shutil.copy(path, self._disk / "data" / inode)
            os.link(path, self._disk / "link" / inode)
            (self._disk / "name" / str(path.relative_to(self.box)).replace("/", "|")).write_text(inode)
        self._said.write_text("")
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps([sync, str(self.box), str(self._said)]) + "\n")
        self._server.stdin.flush()
        status = int(self._server.stdout.readline())
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the work failed"
        count = self._disk / "count"
        syncs = int(count.read_text()) if count.exists() else 0
        return End(os.WIFSIGNALED(status), syncs, self._said.read_text().splitlines())

    def lose(self, dice: random.Random, names: Names, kept: Kept) -> None:
        """Leave in the box what the disk holds when the power is back."""
        written = {str(path.relative_to(self.box)): str(path.stat().st_ino) for path in self._files(self.box)}
        synced = {path.name.replace("|", "/"): path.read_text() for path in (self._disk / "name").iterdir()}
        now = {inode: (self.box / name).read_bytes() for name, inode in written.items()}
        left: dict[str, bytes] = {}
        for name, inode in (synced if names == "synced" else written).items():
            data, link = self._disk / "data" / inode, self._disk / "link" / inode
            old = data.read_bytes() if data.exists() else b""
            new = now[inode] if inode in now else link.read_bytes()
            left[name] = old if kept == "synced" else new if kept == "written" else mixed(old, new, dice)
        modes = {name: (self.box / name).stat().st_mode for name in written}
        folders = [path.relative_to(self.box) for path in self.box.rglob("*") if path.is_dir()]
        shutil.rmtree(self.box)
        self.box.mkdir()
        for folder in folders:
            (self.box / folder).mkdir(parents=True, exist_ok=True)
        for name, content in left.items():
            path = self.box / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(modes.get(name, 0o100600))

    @staticmethod
    def _files(folder: Path) -> Iterator[Path]:
        return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def mixed(old: bytes, new: bytes, dice: random.Random) -> bytes:
    """A file of which some pages were written before the power went, and others not."""
    size = dice.choice((len(old), len(new)))
    pages = []
    for at in range(0, size, PAGE):
        page = dice.choice((old, new))[at : at + PAGE]
        pages.append(page.ljust(PAGE, b"\0"))  # a page of a file that has grown, and was not written
    return b"".join(pages)[:size]


def _serve(module: str, name: str) -> None:
    work = getattr(importlib.import_module(module), name)
    for line in sys.stdin:
        sync, box, said = json.loads(line)
        pid = forked(partial(_work, work, sync, Path(box), Path(said)))
        _, status = os.waitpid(pid, 0)
        print(status, flush=True)


def _work(work: Work, sync: int, box: Path, said: Path) -> None:
    os.environ["LOST_AT"] = str(sync)
    with said.open("a") as mouth:

        def tell(text: str) -> None:
            mouth.write(text + "\n")
            mouth.flush()

        work(box, tell)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
