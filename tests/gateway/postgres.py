"""A real PostgreSQL server for the tests: its own data folder, a unix socket, no port, ended with the test run."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

_START_S = 60.0
_PR_SET_PDEATHSIG = 1
_DATABASE = "store"
_libc = ctypes.CDLL(None)


class PostgresServer:
    """A server that runs. As root it is started as Debian's ``postgres`` or as ``nobody``: it refuses to be root."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="tw-pg-"))  # short: a socket's path has 107 bytes at most
        self._user: str | None = None
        if os.geteuid() == 0:
            self._user = _unprivileged()
            shutil.chown(self.folder, self._user)
        self._process: subprocess.Popen[bytes] | None = None
        made = subprocess.run(
            [
                binaries / "initdb",
                *("--pgdata", self.folder / "data", "--username", "tagwatch", "--auth", "trust"),
                *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
            ],
            user=self._user,
            cwd=self.folder,
            capture_output=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr.decode()

    def start(self) -> None:
        """Start it, and wait until it answers. Its disk is synchronous, as the store demands."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._binaries / "postgres",
                    *("-D", self.folder / "data", "-k", self.folder, "-c", "listen_addresses="),
                    *("-c", "shared_buffers=16MB", "-c", "max_connections=60"),
                ],
                user=self._user,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT) and None,
            )
        deadline = time.monotonic() + _START_S
        while True:
            try:
                self.run("SELECT 1")
                return
            except OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError((self.folder / "log").read_text()) from None
                time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL to the server and to everything that it has started, as in a power cut."""
        assert self._process is not None
        every = [self._process.pid, *_children(self._process.pid)]
        for pid in every:
            os.kill(pid, signal.SIGKILL)
        self._process.wait()
        while any(Path(f"/proc/{pid}").exists() and "postgres" in _name(pid) for pid in every):
            time.sleep(0.01)

    def close(self) -> None:
        """End it and remove its folder."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        return f"postgresql://tagwatch@/{database}?host={self.folder}"

    def empty(self) -> str:
        """The URL of a database that holds nothing. There is one: what the last test left in it is gone."""
        self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{_DATABASE}'")
        self.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public", _DATABASE)
        return self.url(_DATABASE)

    def run(self, statement: str, database: str = "postgres") -> None:
        """Carry out one statement as the server's master."""
        url = self.url(database).replace("postgresql://", "postgresql+psycopg://")
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql(statement)
        finally:
            engine.dispose()


def server() -> Iterator[PostgresServer]:
    """A server for as long as tests want one; they are skipped where there is none to start."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    beside = shutil.which("initdb")
    if not found and beside is None:
        pytest.skip("no PostgreSQL server on this machine: `make system` installs Debian's")
    opened = PostgresServer(Path(found[-1]).parent if found else Path(str(beside)).resolve().parent)
    try:
        opened.start()
        opened.run(f"CREATE DATABASE {_DATABASE}")
        yield opened
    finally:
        opened.close()


def _unprivileged() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the latter where it goes between opening and reading
        return ""
