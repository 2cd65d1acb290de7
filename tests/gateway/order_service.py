"""A client of the interface for orders, written from its description alone (domain.md, "Orders in")."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from gateway.orders.clients import Credentials

STARTS, ENDS = "2025-06-02 00:00:00", "2025-09-01 23:59:00"
"""What stands for the dates that the recorded messages leave open (``{mockStartDateInBritishTime}`` and the like)."""
PLACES = {
    "{mockStartDateInBritishTime}": STARTS,
    "{mockEndDateInBritishTime}": ENDS,
    "{mockStartDate}": STARTS[:10],
    "{mockEndDate}": ENDS[:10],
    "{mockVariationDate}": "2025-07-01 00:00:00",
}


class RefusedError(Exception):
    """The interface answered with its documented error."""

    def __init__(self, answer: httpx.Response) -> None:
        said = answer.json()
        assert set(said) == {"error", "status"}, said
        assert said["status"] == "failure"
        assert set(said["error"]) == {"message", "detail"}
        assert all(isinstance(text, str) and text for text in said["error"].values())
        assert 400 <= answer.status_code < 600
        super().__init__(f"{answer.status_code}: {said['error']}")
        self.status = answer.status_code


@dataclass
class OrderService:
    """The Ministry's order service, as it calls. It gets a new token when the one it has is refused."""

    http: httpx.Client
    credentials: Credentials
    prefix: str = "/x_seem_cemo"
    token: str = field(default="", init=False)

    def get_token(self) -> str:
        form = {
            "grant_type": "password",
            "username": self.credentials.username,
            "password": self.credentials.password,
        }
        basic = httpx.BasicAuth(self.credentials.client_id, self.credentials.client_secret)
        answer = self.http.post("/oauth_token.do", data=form, auth=basic)
        if answer.status_code != 200:
            raise RefusedError(answer)
        self.token = str(answer.json()["access_token"])
        return self.token

    def send(self, operation: str, message: bytes | dict[str, Any]) -> str:
        """Send a message; returns the id that was given to what it is about."""
        kind = "device_wearer" if operation.endswith("DW") else "monitoring_order"
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        said = self.ask(
            "POST",
            f"{self.prefix}/{kind}/{operation}",
            content=body,
            headers={"Content-Type": "application/json"},
        )
        assert set(said) == {"result"}, said
        (result,) = said["result"]
        assert set(result) == {"id", "message"}
        assert result["message"] == ""
        return str(result["id"])

    def attach(self, case_id: str, name: str, content: bytes) -> dict[str, Any]:
        """Upload a file."""
        query = {"table_name": "x_serg2_ems_csm_sr_mo_new", "table_sys_id": case_id, "file_name": name}
        said = self.ask(
            "POST",
            "/now/v1/attachment_csm/file",
            params=query,
            content=content,
            headers={"Content-Type": "application/octet-stream"},
        )
        result: dict[str, Any] = said["result"]
        return result

    def state(self, case_id: str) -> str:
        """The state of a case."""
        said = self.ask(
            "GET", f"/now/table/x_serg2_ems_csm_case/{case_id}", params={"sysparm_fields": "state"}
        )
        return str(said["result"]["state"])

    def retrieve(self, case_id: str) -> dict[str, Any]:
        """What was sent."""
        return self.ask("GET", "/monitoring_order/retrieveDWandMO", params={"u_case_id": case_id})

    def ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """One request with the token. Raises RefusedError."""
        if not self.token:
            self.get_token()
        more["headers"] = more.get("headers", {}) | {"Authorization": f"Bearer {self.token}"}
        answer = self.http.request(method, path, **more)
        if answer.status_code != 200:
            raise RefusedError(answer)
        said: dict[str, Any] = answer.json()
        return said


def recorded(data: Path) -> list[tuple[str, Path, Path]]:
    """Every order of the recorded messages with its wearer: a name, the wearer's message, the order's message."""
    found = []
    for folder in sorted(path for path in (data / "fms-orders").iterdir() if path.is_dir()):
        wearers = sorted(path for path in folder.glob("*.json") if _is_wearer(path))
        orders = sorted(path for path in folder.glob("*.json") if path not in wearers)
        for i in range(max(len(wearers), len(orders))):
            wearer, order = wearers[min(i, len(wearers) - 1)], orders[min(i, len(orders) - 1)]
            name = folder.name if len(orders) == 1 else f"{folder.name}/{order.stem}"
            found.append((name, wearer, order))
    return found


def _is_wearer(path: Path) -> bool:
    return "first_name" in json.loads(path.read_text())


def filled_in(path: Path, **fields: str) -> dict[str, Any]:
    """A recorded message with the places that it leaves open filled in, and fields set."""
    text = path.read_text()
    for place, value in PLACES.items():
        text = text.replace(place, value)
    message: dict[str, Any] = json.loads(text)
    return message | fields
