"""Beyond this machine the page is served over TLS, to people who sign in, or not at all."""

from __future__ import annotations

import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_der_x509_certificate

from gateway import reach, users
from gateway.authority import Authority
from gateway.doctor import gathering, people
from gateway.settings import Settings
from gateway.store import Store
from tests.browser.caseload import Caseload
from tests.browser.server import WebProcess
from tests.browser.test_signed_in import HTML, PASSWORD, form_token

NAMES = ("gateway.example", "127.0.0.1")


def certified(authority: Authority, folder: Path, *names: str) -> tuple[Path, Path]:
    """A certificate and its key, as files."""
    made = authority.certify(names[0], names, server=True)
    chain, key = folder / "page.pem", folder / "page.key.pem"
    chain.write_bytes(load_der_x509_certificate(made.cert_der).public_bytes(Encoding.PEM))
    key.write_bytes(made.key_pem)
    key.chmod(0o600)
    return chain, key


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caseload]:
    """A gateway's folder with its authority, and a user."""
    cases = Caseload(tmp_path_factory.mktemp("tls"))
    cases.raised()
    (cases.folder / "tagwatch.toml").write_text('server_names = ["gateway.example", "127.0.0.1"]\n')
    Authority.of(Settings.load(cases.folder))
    users.add(cases.store, "alex", "Alex Officer", "practitioner", PASSWORD, "test")
    yield cases
    cases.close()


@pytest.fixture(scope="module")
def site(cases: Caseload) -> Iterator[httpx.Client]:
    """The page on every address of this machine, as a browser elsewhere would see it."""
    process = WebProcess(cases.folder, host="0.0.0.0")
    process.start()
    assert process.url.startswith("https://gateway.example:")
    trusted = ssl.create_default_context(cafile=str(cases.folder / "authority" / "ca.pem"))
    port = process.url.rsplit(":", 1)[1]
    with httpx.Client(
        base_url=f"https://127.0.0.1:{port}", headers=HTML, verify=trusted, timeout=30
    ) as client:
        yield client
    process.kill()


def test_the_page_beyond_this_machine_signs_in_over_tls_with_cookies_for_tls_alone(
    site: httpx.Client,
) -> None:
    page = site.get("/sign-in")
    assert page.headers["strict-transport-security"] == "max-age=31536000"
    assert "__Host-tagwatch-form=" in page.headers["set-cookie"] and "Secure" in page.headers["set-cookie"]
    fields = {"form_token": form_token(page), "name": "alex", "password": PASSWORD}
    answer = site.post("/sign-in", data=fields, headers={"origin": str(site.base_url).rstrip("/")})
    assert answer.status_code == 303
    for cookie in answer.headers.get_list("set-cookie"):
        assert re.match(r"__Host-tagwatch[a-z-]*=", cookie), cookie
        assert {"secure", "httponly", "samesite=strict", "path=/"} <= set(cookie.lower().split("; ")), cookie
        assert "domain" not in cookie.lower()
    assert "Alex Example" in site.get("/alerts/1").text


def test_it_answers_to_its_own_names_only_and_not_without_tls(site: httpx.Client) -> None:
    assert site.get("/health", headers={"host": "gateway.example"}).status_code == 200
    assert site.get("/health", headers={"host": "rebound.example"}).status_code == 400
    with pytest.raises(httpx.HTTPError):
        httpx.get(str(site.base_url).replace("https", "http") + "/health")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.deprecated_call():
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    port = site.base_url.port
    assert port is not None
    with socket.create_connection(("127.0.0.1", port)) as plain, pytest.raises((ssl.SSLError, OSError)):
        old.wrap_socket(plain)


def test_the_gateways_numbers_are_for_this_machine_or_a_token(site: httpx.Client, cases: Caseload) -> None:
    assert site.get("/metrics").status_code == 200, "from this machine"
    elsewhere = _own_address()
    if elsewhere is None:
        pytest.skip("this machine has no address but loopback")
    url = f"https://{elsewhere}:{site.base_url.port}"
    users.add(cases.store, "meter", "Prometheus", "monitor", None, "test")
    token, _ = users.issue_token(cases.store, "meter", "scrapes", 1, "test")
    plain = {"host": "gateway.example"}
    with httpx.Client(verify=False, timeout=30) as client:
        assert client.get(f"{url}/metrics", headers=plain).status_code == 401
        shown = plain | {"authorization": f"Bearer {token}"}
        assert client.get(f"{url}/metrics", headers=shown).status_code == 200
        assert client.get(f"{url}/api/v1/alerts", headers=shown).status_code == 403
        assert client.get(f"{url}/ready", headers=plain).status_code in (200, 503)


def _own_address() -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if address.startswith("127.") else address


def test_a_certificate_of_ones_own_is_shown_and_read_again_when_it_is_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = Caseload(tmp_path)
    authority = Authority.of(Settings.load(tmp_path))
    certified(authority, tmp_path, "page.example", "127.0.0.1")
    (tmp_path / "tagwatch.toml").write_text('web_certificate = "page.pem"\nweb_key = "page.key.pem"\n')
    program = "import gateway.web.__main__ as page, sys; page.RENEWED_S = 0.2; sys.exit(page.main())"
    monkeypatch.setattr("tests.browser.server.PROGRAM", ["-c", program])
    process = WebProcess(tmp_path)
    process.start()
    try:
        port = int(process.url.rsplit(":", 1)[1])
        assert process.url == f"https://127.0.0.1:{port}"

        def shown() -> str:
            return ssl.get_server_certificate(("127.0.0.1", port))

        first = shown()
        assert first.strip() == (tmp_path / "page.pem").read_text().strip()
        other = tmp_path / "other"
        other.mkdir()
        half, _ = certified(authority, other, "page.example", "127.0.0.1")
        (tmp_path / "page.pem").write_bytes(half.read_bytes())  # and its key is still on its way
        deadline = time.monotonic() + 60
        while "can not be used" not in process.log():
            assert time.monotonic() < deadline, process.log()
            time.sleep(0.05)
        assert shown() == first
        certified(authority, tmp_path, "page.example", "127.0.0.1")
        deadline = time.monotonic() + 60
        while shown() == first:
            assert time.monotonic() < deadline, process.log()
            time.sleep(0.1)
        assert shown().strip() == (tmp_path / "page.pem").read_text().strip()
    finally:
        process.kill()
        cases.close()


def test_every_reason_not_to_serve_names_key_fact_and_remedy(tmp_path: Path) -> None:
    beyond = Settings.load(tmp_path, web_host="0.0.0.0", server_names=NAMES)
    assert "nobody can sign in: make a user first (`tagwatch user add`)" in reach.refusal(beyond, 0)
    assert reach.refusal(beyond, 1).startswith("authority: "), "there is no certificate yet"
    unnamed = Settings.load(tmp_path, web_host="0.0.0.0")
    assert "server_names begins with a name of this machine only" in reach.refusal(unnamed, 1)
    authority = Authority.of(beyond)
    assert reach.refusal(beyond, 1) == ""
    assert reach.refusal(Settings.load(tmp_path), 0) == "", "on this machine alone nothing is asked"
    chain, key = certified(authority, tmp_path, "page.example")
    other = tmp_path / "other"
    other.mkdir()
    _, other_key = certified(authority, other, "page.example")
    for wrong in (
        {"web_certificate": str(chain), "web_key": str(other_key)},
        {"web_certificate": "no.pem", "web_key": "no"},
    ):
        chosen = Settings.load(tmp_path, web_host="0.0.0.0", **wrong)
        said = reach.refusal(chosen, 1)
        assert said.startswith("web_certificate and web_key: ") and "give a certificate in PEM" in said
    own = Settings.load(tmp_path, web_host="::", web_certificate=str(chain), web_key=str(key))
    assert reach.refusal(own, 1) == ""
    assert reach.url(own, 443) == "https://page.example:443/"
    assert reach.near(own) == "::1"


def test_serve_refuses_and_the_doctor_finds_it(tmp_path: Path) -> None:
    (tmp_path / "tagwatch.toml").write_text(
        'web_host = "0.0.0.0"\nserver_names = ["gateway.example"]\nmqtt_port = 0\nweb_port = 0\n'
    )

    def serve() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gateway.service", "--data-dir", str(tmp_path), "--until-stdin-ends"]
        return subprocess.run(
            command, input="", capture_output=True, text=True, timeout=200, check=False, env=os.environ
        )

    done = serve()
    assert done.returncode == 2 and not done.stdout
    assert "web_host: 0.0.0.0 can be reached from other machines, and nobody can sign in" in done.stderr
    found = [one for one in people.page(gathering.gather(tmp_path)) if one.severity == "problem"]
    assert [one.fact for one in found] == [done.stderr.strip().removeprefix("tagwatch: ")]
    store = Store.open(Settings.load(tmp_path).store_place)
    users.add(store, "alex", "Alex Officer", "practitioner", PASSWORD, "test")
    store.close()
    findings = people.page(gathering.gather(tmp_path))
    assert [one.severity for one in findings] == ["good", "note"]
