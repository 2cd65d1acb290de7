"""A whole gateway as a child process: how the simulator, the demo and the tests start one."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from gateway.control import WORKING, Control, ControlError, IngestGoneError
from gateway.settings import Settings

Part = Literal["broker", "door", "ingest", "web", "orders", "notifier"]

_START_S = 60.0  # not counting the time in which rules are compiled
_STOP_S = 15.0
_GONE_S = 30.0
_POLL_S = 0.02
_LOOK_S = 1.0


class GatewayError(RuntimeError):
    """The gateway did not start or ended; the text holds what it said last."""


class GatewayProcess:
    """``tagwatch serve`` on a data folder, as a child process. A context manager, or ``start`` and ``stop``.

    It ends with this process, however this process ends.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._process: subprocess.Popen[str] | None = None
        self._control: Control | None = None

    def start(self, timeout_s: float = _START_S) -> None:
        """Start everything and wait until it is ready. Raises GatewayError where that fails."""
        if self._process is not None and self._process.poll() is None:
            raise GatewayError("this gateway runs already")
        self._close()
        self.settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._log_path.open("ab") as errors:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "gateway.service",
                    "--data-dir",
                    str(self.settings.data_dir),
                    "--until-stdin-ends",
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=os.environ | self.settings.environment(),
                start_new_session=True,
            )
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            said = ""
            deadline = time.monotonic() + timeout_s
            while not said and time.monotonic() < deadline and self._process.poll() is None:
                if selector.select(_LOOK_S):
                    said = self._process.stdout.readline()
                elif self._compiles():
                    deadline = time.monotonic() + timeout_s
        if not said:
            run = self.run()
            self.stop()
            raise GatewayError(
                f"the gateway did not become ready in {timeout_s:.0f} s ({_standing(run)}): {self._last_words()}"
            )

    def _compiles(self) -> bool:
        """Is the ingest, not ready yet, compiling rules?"""
        control = Control(self.settings.control_path, timeout_s=_LOOK_S)
        try:
            return bool(control.status()["working"] == WORKING)
        except ControlError:
            return False  # not there yet
        finally:
            control.close()

    def stop(self) -> int:
        """End everything cleanly; returns the exit code."""
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._close()
        return process.returncode

    def kill(self) -> None:
        """SIGKILL to the supervisor: everything ends at once, as in a power cut."""
        assert self._process is not None, "this gateway was never started"
        self._process.kill()
        self._process.wait()
        self._close()

    def kill_part(self, part: Part) -> int:
        """SIGKILL to one process; the supervisor starts it again. Returns the pid that was killed."""
        pid = self.pid(part)
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_restarted(self, part: Part, old_pid: int, timeout_s: float = 30.0) -> int:
        """Wait until ``part`` runs anew and everything is ready; returns its new pid."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            run = self.run()
            pid = run.get(f"{part}_pid")
            if run.get("ready") and isinstance(pid, int) and pid != old_pid:
                return pid
            time.sleep(_POLL_S)
        raise GatewayError(
            f"{part} was not back in {timeout_s:.0f} s ({_standing(self.run())}): {self._last_words()}"
        )

    def pid(self, part: Part) -> int:
        """The process id of a part, waiting for it while it is started again."""
        deadline = time.monotonic() + _GONE_S
        while time.monotonic() < deadline:
            pid = self.run().get(f"{part}_pid")
            if isinstance(pid, int):
                return pid
            time.sleep(_POLL_S)
        raise GatewayError(f"{part} does not run: {self._last_words()}")

    @property
    def serve_pid(self) -> int | None:
        """Process id of the supervisor that was started last, whether it lives or not; None before."""
        return None if self._process is None else self._process.pid

    @property
    def broker_pid(self) -> int:
        """Process id of the embedded broker."""
        return self.pid("broker")

    @property
    def ingest_pid(self) -> int:
        """Process id of the ingest."""
        return self.pid("ingest")

    @property
    def web_url(self) -> str:
        """Where the page is."""
        return str(self.run()["web_url"])

    def run(self) -> dict[str, Any]:
        """What runs now (``run.json``): pids, ports, whether all is ready."""
        try:
            document: dict[str, Any] = json.loads(self.settings.run_path.read_text())
        except FileNotFoundError:
            return {}
        return document

    def control(self) -> Control:
        """A connection to the ingest of its own, to be closed by the caller."""
        return Control(self.settings.control_path)

    def advance(self, t_ms: int) -> dict[str, Any]:
        """It is ``t_ms`` now (stepped clock). Returns when all that was published before is committed and judged.

        An ingest that ends meanwhile is waited for. Raises ControlError where it can not be done.
        """
        return self._ask({"do": "advance", "t_ms": t_ms})

    def status(self) -> dict[str, Any]:
        """The ingest's counters (``Ingest.status``)."""
        return self._ask({"do": "status"})

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + _GONE_S
        if self._control is None:
            self._control = self.control()
        while True:
            try:
                return self._control.ask(request)
            except IngestGoneError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_S)

    @property
    def _log_path(self) -> Path:
        return self.settings.data_dir / "gateway.log"

    def _last_words(self) -> str:
        lines = self._log_path.read_text(errors="replace").splitlines()
        return " | ".join(lines[-5:]) or "it said nothing"

    def _close(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _standing(run: dict[str, Any]) -> str:
    """Who was waited for, in words."""
    waited_for = run.get("waited_for")
    if waited_for is None:
        return "it had not begun to start its processes"
    return f"waiting for {', '.join(waited_for)}" if waited_for else "everything was ready"
