"""The interface for orders answers as its description says, whatever is asked: Schemathesis against a real server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.gateway.order_desk import Desk, desk_in

RUN = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk_in(tmp_path_factory.mktemp("desk")) as found:
        yield found


@pytest.mark.parametrize("ids", [pytest.param("any", marks=pytest.mark.long), "known"])
def test_schemathesis_finds_no_failure_and_no_answer_that_is_not_described(
    desk: Desk, ids: str, tmp_path: Path
) -> None:
    """Every check that it has: status, headers and content as described, no 5xx, what is wrong refused, what is right
    taken, nothing without a token, methods that are not described refused."""
    chosen = tmp_path / "schemathesis.toml"
    chosen.write_text("")
    if ids == "known":
        case_id = desk.service.send("createDW", {"first_name": "Alex", "last_name": "Example"})
        desk.service.send("createMO", {"case_id": case_id, "order_id": "o-1"})
        names = ("path.case_id", "query.u_case_id", "query.table_sys_id")
        chosen.write_text("[parameters]\n" + "".join(f'"{name}" = "{case_id}"\n' for name in names))
    done = subprocess.run(
        [
            *(*RUN, "--config-file", str(chosen), "run", f"{desk.url}/openapi.json"),
            *("--header", f"Authorization: Bearer {desk.service.token}"),
            *("--checks", "all", "--max-examples", "8", "--no-color", "--generation-database", "none"),
            # wrong or missing credentials are 403 where a token is asked for: the order service expects it so
            *("--exclude-checks", "missing_required_header"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=220,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "13 selected / 13 total" in done.stdout


def test_every_answer_is_described(desk: Desk) -> None:
    document = httpx.get(f"{desk.url}/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answers = set(operation["responses"])
            assert answers >= {"200", "400", "500", "503"}, path
            assert ("401" in answers) != ("403" in answers), path
            assert "422" not in answers
            if method == "post":
                assert answers >= {"408", "413"}, path
                assert operation["requestBody"]["required"] or "attachment" in path
