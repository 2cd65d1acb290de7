"""What logs may say (decision 0014): devices and activations, never names, places or sentences."""

from __future__ import annotations

import ast
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import exc

from gateway import logs

GATEWAY = Path(logs.__file__).parent
FIELDS = {
    "activation", "after_failures", "after_s", "alert", "basis", "by_s", "command", "device", "devices",
    "ended", "handler", "had", "has", "last_good", "library", "messages", "now", "part", "path",
    "pause_s", "problem", "readings", "reason", "removed", "revision", "round", "row", "said", "seconds",
    "tellings", "times", "topics", "untold", "words", "exc_info",
}  # fmt: skip
"""Everything that a log call of the gateway may tell. What a new one would tell of people is decided here."""
OWN = (
    "ingest/__main__.py",
    "web/problems.py",
    "delivery/__main__.py",
    "gateway/commands.py",
    "gateway/keys.py",
)
"""Their errors are made of fixed words, devices, and what `gateway.logs.safe` told, or of the keys of routes.toml."""
SECRET = "Alex Example, 3 Mill Lane"
PROGRAM = f"""
import logging, sys
from gateway import logs
logs.configure("trial", sys.argv[1])
import structlog
log = structlog.get_logger()
def read(text):
    raise ValueError(text + " is no order")
try:
    try:
        read({SECRET!r})
    except ValueError as error:
        raise KeyError({SECRET!r}) from error
except KeyError:
    log.exception("an order can not be read", device="tag1")
    logging.getLogger("a.library").error("could not take %s", {SECRET!r}, exc_info=True)
read({SECRET!r})
"""


def run(form: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, form], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    return done.stderr


def test_what_an_exception_quotes_is_not_logged_and_where_it_was_raised_is() -> None:
    lines = [json.loads(line) for line in run("json").splitlines()]
    assert SECRET not in json.dumps(lines)
    own, library, uncaught = lines
    assert (own["device"], own["error"], own["because"]) == ("tag1", "KeyError", "ValueError")
    assert (library["library"], library["words"]) == ("a.library", "could not take %s")
    assert uncaught["error"] == "ValueError" and uncaught["at"][-1].endswith(" read")
    assert {line["process"] for line in lines} == {"trial"}


def test_a_line_is_written_at_once_for_other_processes_write_into_the_same_log() -> None:
    program = (
        "import structlog; from gateway import logs; logs.configure('x'); structlog.get_logger().info('one')"
    )
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # a write is a packet
    with ours, theirs:
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        subprocess.run(
            [sys.executable, "-c", program], stderr=theirs.fileno(), env=environment, check=True, timeout=60
        )
        ours.settimeout(10)
        line = ours.recv(4096)
    assert line.endswith(b"\n")
    assert json.loads(line)["event"] == "one"


def test_a_log_for_people_keeps_to_the_same() -> None:
    said = run("text")
    assert SECRET not in said
    assert "an order can not be read" in said and "KeyError" in said


def test_of_a_databases_error_its_own_first_line_is_told() -> None:
    quoting = RuntimeError(f"duplicate key\nDETAIL: Key (name)=({SECRET}) already exists.")
    assert logs.safe(exc.DBAPIError("INSERT", {}, quoting)) == "DBAPIError: duplicate key"
    assert logs.safe(OSError(28, "No space left on device", SECRET)) == "OSError: No space left on device"
    assert logs.safe(ValueError(SECRET)) == "ValueError"


@pytest.mark.parametrize(
    "source", sorted(GATEWAY.rglob("*.py")), ids=lambda path: str(path.relative_to(GATEWAY))
)
def test_every_log_call_tells_fixed_words_and_known_fields(source: Path) -> None:
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        of_log = isinstance(node.func.value, ast.Name) and node.func.value.id == "log"
        if of_log and node.func.attr in ("debug", "info", "warning", "error", "exception", "critical"):
            where = f"{source.name}:{node.lineno}"
            assert len(node.args) == 1 and isinstance(node.args[0], ast.Constant), (
                f"{where}: fixed words only"
            )
            assert {keyword.arg for keyword in node.keywords} <= FIELDS, f"{where}: another field"
            for keyword in node.keywords:
                text = ast.unparse(keyword.value)
                assert not text.startswith("str(error") or source.as_posix().endswith(OWN), (
                    f"{where}: use logs.safe"
                )
