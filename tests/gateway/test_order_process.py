"""Taking in orders as part of a gateway: supervised, restarted alone, behind TLS where others could listen."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest

from gateway.authority import Authority
from gateway.gateway_time import now
from gateway.orders import clients
from gateway.process import GatewayProcess
from gateway.settings import Settings, SettingsError
from gateway.store import Store
from tests.gateway.order_service import OrderService
from tests.gateway.test_order_interface import Intake, start


def test_orders_are_taken_in_by_a_process_of_their_own_that_is_restarted_alone(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, mqtt_port=0, web=False, orders=True, order_port=0)
    with GatewayProcess(settings) as gateway:
        store = Store.open(settings.store_place)
        made = clients.add(store, "cemo", now(store, settings.clock).ms)
        with httpx.Client(base_url=f"http://127.0.0.1:{gateway.run()['order_port']}", timeout=60) as http:
            service = OrderService(http, made)
            case_id = service.send("createDW", {"first_name": "Alex"})
            ingest = gateway.ingest_pid
            gateway.wait_restarted("orders", gateway.kill_part("orders"))
            assert service.send("createDW", {"first_name": "Alex"}) == case_id, (
                "the token holds, and the wearer"
            )
            assert gateway.ingest_pid == ingest
        store.close()


def test_a_gateway_without_orders_over_http_starts_no_such_process(tmp_path: Path) -> None:
    assert Settings.load(tmp_path).orders is False


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "gateway.example"])
def test_orders_do_not_travel_readable(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingsError, match="orders would travel readable"):
        Settings.load(tmp_path, order_host=host)
    with pytest.raises(SettingsError, match="give both"):
        Settings.load(tmp_path, order_certificate="a.pem")


def test_behind_tls_the_interface_is_the_same_and_nothing_else_is_answered(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, orders=True, order_port=0)
    authority = Authority.of(settings)
    certificate, key = (str(path) for path in authority.paths("server"))
    settings = Settings.load(
        tmp_path,
        orders=True,
        order_port=0,
        order_host="0.0.0.0",
        order_certificate=certificate,
        order_certificate_key=key,
    )
    store = Store.open(settings.store_place)
    found = Intake(settings, start(settings), store, clients.add(store, "cemo", 0))
    port = int((tmp_path / "order-port").read_text())
    trusted = ssl.create_default_context(cafile=settings.authority_dir / "ca.pem")
    with httpx.Client(base_url=f"https://localhost:{port}", verify=trusted, timeout=30) as http:
        assert OrderService(http, found.credentials).send("createDW", {"first_name": "Alex"})
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://localhost:{port}/openapi.json")
    found.end()
