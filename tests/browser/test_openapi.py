"""The interface of the page's process answers as its description says, whatever is asked: Schemathesis over HTTPS."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway import users
from gateway.authority import Authority
from gateway.devices import add_device
from gateway.orders import activate, add_order
from gateway.settings import Settings
from tests.browser.caseload import Caseload
from tests.browser.server import WebProcess, served
from tests.browser.test_page_over_tls import certified
from tests.community_order import community_order

RUN = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
STREAM = "/api/v1/events"
"""Never ends, and has tests of its own; so has /ready, which is 503 while no gateway runs."""


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caseload]:
    """A gateway's folder with an alert, an order, and devices worn and not, and its page over TLS."""
    cases = Caseload(tmp_path_factory.mktemp("openapi"))
    cases.raised()
    settings = Settings.load(cases.folder, mqtt_port=0)
    authority = Authority.of(settings)
    certified(authority, cases.folder, "localhost", "127.0.0.1")
    (cases.folder / "tagwatch.toml").write_text(
        'mqtt_port = 0\nweb_certificate = "page.pem"\nweb_key = "page.key.pem"\n'
    )
    add_order(cases.store, community_order("ORD-1", {"id": "trail", "type": "trail"}))
    add_device(cases.store, authority, "gpsworn1", settings=settings)
    activate(cases.store, "gpsworn1", "ORD-1", 1_700_000_000_000)
    add_device(cases.store, authority, "gpsnew01", settings=settings)
    yield cases
    cases.close()


@pytest.fixture(scope="module")
def process(cases: Caseload) -> Iterator[WebProcess]:
    with served(cases.folder) as process:
        yield process


@pytest.fixture(scope="module")
def token(cases: Caseload) -> str:
    """A field officer's, who may look and fit."""
    users.add(cases.store, "sam", "Sam Officer", "field_officer", None, "test")
    return users.issue_token(cases.store, "sam", "fitting", 1, "test")[0]


@pytest.mark.parametrize(
    ("ids", "phases", "examples"),
    [
        ("known", "fuzzing", 3),
        pytest.param("any", "coverage,fuzzing,stateful", 25, marks=pytest.mark.long),
        pytest.param("known", "coverage,fuzzing,stateful", 25, marks=pytest.mark.long),
    ],
)
def test_schemathesis_finds_no_failure_and_no_answer_that_is_not_described(
    cases: Caseload, process: WebProcess, token: str, ids: str, phases: str, examples: int, tmp_path: Path
) -> None:
    chosen = tmp_path / "schemathesis.toml"
    chosen.write_text("")
    if ids == "known":
        known = {
            "query.order": "ORD-1",
            "path.device": "gpsnew01",
            "path.activation": "gpsworn1-1",
        }
        chosen.write_text("[parameters]\n" + "".join(f'"{name}" = "{one}"\n' for name, one in known.items()))
    done = subprocess.run(
        [
            *(*RUN, "--config-file", str(chosen), "run", f"{process.url}/api/v1/openapi.json"),
            *(
                "--header",
                f"Authorization: Bearer {token}",
                "--exclude-path",
                STREAM,
                "--exclude-path",
                "/ready",
            ),
            *("--tls-verify", str(cases.folder / "authority" / "ca.pem")),
            *("--checks", "all", "--phases", phases, "--max-examples", str(examples), "--no-color"),
            *("--generation-database", "none"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_everything_below_api_is_described_with_what_it_answers_without_a_token(
    cases: Caseload, process: WebProcess
) -> None:
    trusted = str(cases.folder / "authority" / "ca.pem")
    with httpx.Client(base_url=process.url, verify=ssl.create_default_context(cafile=trusted)) as client:
        paths = _described(cases, client)
    assert len([path for path in paths if path.startswith("/api/v1/fitting/")]) >= 12


def _described(cases: Caseload, client: httpx.Client) -> list[str]:
    users.add(cases.store, "robin", "Robin Officer", "field_officer", None, "test")
    shown, _ = users.issue_token(cases.store, "robin", "reading", 1, "test")
    document = client.get("/api/v1/openapi.json", headers={"authorization": f"Bearer {shown}"}).json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path.startswith("/api/v1/fitting/"):
                answers = set(operation["responses"])
                assert answers >= {"200", "401", "403", "409", "422", "429", "503"}, path
                asked = client.request(method, path.replace("{", "").replace("}", ""))
                assert asked.status_code == 401, path
    return list(document["paths"])
