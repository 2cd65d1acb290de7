"""The real web process over a data folder, started and ended by tests."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_S = 60.0
PROGRAM = ["-m", "gateway.web"]


class WebProcess:
    """``python -m gateway.web`` on a free loopback port, the same one after each restart."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.folder = folder
        self._host = host
        self.url = ""
        self._port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """The running process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; returns when it listens, by its own word."""
        command = [sys.executable, *PROGRAM, "--data-dir", str(self.folder)]
        with (self.folder / "web.log").open("a") as log:
            self._process = subprocess.Popen(
                [*command, "--host", self._host, "--port", str(self._port)],
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise AssertionError(f"the web process ended by itself:\n{self.log()}")
            where = self._where()
            if where and where["pid"] == self._process.pid:
                self.url = str(where["url"]).rstrip("/")
                self._port = int(self.url.rsplit(":", 1)[1])
                return
            time.sleep(0.02)
        raise AssertionError(f"the web process did not listen within {START_S} s:\n{self.log()}")

    def stop(self) -> float:
        """SIGTERM; returns how long it took to end, s."""
        assert self._process is not None
        begun = time.monotonic()
        self._process.terminate()
        code = self._process.wait(60)
        assert code in (0, -15), f"exit code {code}:\n{self.log()}"
        self._process = None
        return time.monotonic() - begun

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)
            self._process = None

    def log(self) -> str:
        """Everything it has printed."""
        return (self.folder / "web.log").read_text()

    def _where(self) -> dict[str, object] | None:
        try:
            return json.loads((self.folder / "web.json").read_text())  # type: ignore[no-any-return]
        except FileNotFoundError:
            return None


@contextmanager
def served(folder: Path) -> Iterator[WebProcess]:
    """The page over a folder, for as long as it is wanted."""
    process = WebProcess(folder)
    process.start()
    try:
        yield process
    finally:
        process.kill()
