"""How a process that the service starts begins: its arguments, its settings, its logs."""

from __future__ import annotations

import argparse
from pathlib import Path

from gateway import logs
from gateway.settings import Settings


def begin(
    module: str, process: str, about: str | None, arguments: list[str] | None
) -> tuple[Settings, int | None]:
    """The settings of a process started as ``python -m module``, and the descriptor for `gateway.heartbeat`, if any.

    Its logs name it ``process``. ``arguments`` is None for those it was started with. Raises SettingsError.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=about)
    parser.add_argument("--data-dir", type=Path, help="the gateway's one folder")
    parser.add_argument(
        "--ready-fd", type=int, help="a file descriptor that is told `ready`, and that it goes on"
    )
    given = parser.parse_args(arguments)
    settings = Settings.load(given.data_dir)
    logs.configure(process, settings.log_format)
    return settings, given.ready_fd
