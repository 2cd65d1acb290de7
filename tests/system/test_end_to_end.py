"""From the court to the phone: an order comes in, is completed, a tag is fitted, a night passes, an alert goes out.

Every part is the one that is deployed: the order service's own message, the order process, the commands, real firmware
behind a pseudo-terminal, broker, ingest, notifier, a webhook, the page's interface. Only time is ours: the gateway's is
stepped, and after the visit the tag's goes as fast as it can.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.fitting import Asked, fit
from gateway.orders import clients, unfitted
from gateway.process import GatewayProcess
from gateway.settings import Settings
from gateway.store import Store, orders
from sim.bench.tag import MOVING_PIN, VirtualTag
from sim.fitting import AHEAD_S, on_a_leg
from sim.gnss import GnssReceiver
from sim.itinerary import Itinerary, Place
from tests.gateway.order_service import OrderService
from tests.gateway.receivers import Web
from tests.system.fitting_room import ALL_WELL, SPANS, Plug, Watcher

TAGWATCH = str(Path(sys.executable).with_name("tagwatch"))
LONDON = ZoneInfo("Europe/London")
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
TAG = "simgps01"
MESSAGES = "CCSILA_pre-trail_exclusions_and_curfew"
HOME = Place(52.1, 4.9)
"""Where whoever is fitted sits (sim/fitting.py)."""
PALACE = HOME.offset(0, 800)
RADIUS_M = 250
WHO = ("--by", "Sam Officer", "--why", "as the court's clerk told on the telephone")


class Story:
    """A gateway with its webhook, and what is done with it from the court to the morning."""

    def __init__(self, folder: Path, receiver: Web, data: Path, *, whole: bool) -> None:
        """With ``whole`` every command is a process of its own, and the night is long."""
        self.folder, self.receiver, self.data = folder, receiver, data
        self.whole = whole
        self.out_h, self.up_h = (3.0, 7.0) if whole else (1.5, 3.5)
        """Hours after the beginning at which the wearer leaves, and at which the morning has come."""
        folder.mkdir()
        routes = folder / "routes.toml"
        routes.write_text(
            'link = "https://box.example/alerts/"\n'
            f'[contacts.ann]\nurl = "{receiver.url}"\n'
            '[[route]]\nname = "duty"\nrota = ["ann"]\nminutes = 1440\n'
        )
        routes.chmod(0o600)
        # in the file, for the commands read it too
        (folder / "tagwatch.toml").write_text(
            'clock = "stepped"\nmqtt_port = 0\nweb_port = 0\norders = true\norder_port = 0\n'
        )
        self.settings = Settings.load(folder)
        self.begin_ms = time.time_ns() // 1_000_000
        self.gateway = GatewayProcess(self.settings)
        self.gateway.start()
        self.store = Store.open(self.settings.store_place)
        self.gateway.advance(self.begin_ms)

    def end(self) -> None:
        self.store.close()
        self.gateway.stop()

    def types(self, *arguments: object) -> str:
        """What an operator types at the gateway's box; it succeeds."""
        typed = [*map(str, arguments), "--data-dir", str(self.folder)]
        if self.whole:
            done = subprocess.run([TAGWATCH, *typed], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout
        typing = CliRunner().invoke(app, typed)
        assert typing.exit_code == 0, typing.output
        return typing.output

    def order_comes_in(self) -> str:
        """The recorded messages with their dates moved to this week; nothing else of them is changed."""
        first = datetime.fromtimestamp((self.begin_ms - DAY) / 1000, LONDON)
        last = datetime.fromtimestamp((self.begin_ms + 7 * DAY) / 1000, LONDON)

        def moved(key: str, value: Any) -> Any:
            if isinstance(value, dict):
                return {name: moved(name, one) for name, one in value.items()}
            if isinstance(value, list):
                return [moved(key, one) for one in value]
            if isinstance(value, str) and value.startswith("2025-01-22"):
                return f"{last if 'end' in key else first:%Y-%m-%d}{value[10:]}"
            return value

        folder = self.data / "fms-orders" / MESSAGES
        made = clients.add(self.store, "cemo", self.begin_ms)
        where = f"http://127.0.0.1:{self.gateway.run()['order_port']}"
        with httpx.Client(base_url=where, timeout=60) as http:
            service = OrderService(http, made)
            wearer = service.send("createDW", json.loads((folder / "device_wearer.json").read_text()))
            message = moved("", json.loads((folder / "order.json").read_text()))
            order_id = service.send("createMO", message | {"case_id": wearer})
            assert service.state(order_id) == "18", "people have to see to it"
        return order_id

    def is_completed(self, order_id: str) -> None:
        """A zone is drawn and the curfew gets hours and a place; two of the court's zones stay words."""
        shown = json.loads(self.types("order", "show", order_id, "--json"))
        palace = next(line.split(":")[0] for line in shown["conditions"] if "exclusion" in line)
        circle = ("--at", f"{PALACE.lat:.6f},{PALACE.lon:.6f}", "--radius-m", RADIUS_M, "--anyway")
        assert "STILL NOT MONITORED" in self.types(
            "zone", "add", order_id, "--condition", palace, *circle, *WHO
        )
        clock = [datetime.fromtimestamp((self.begin_ms + n * HOUR) / 1000, LONDON) for n in (1, 8)]
        hours = f"daily {clock[0]:%H:%M}-{clock[1]:%H:%M}"
        door = ("--at", f"{HOME.lat},{HOME.lon}", "--radius-m", 60, "--anyway")
        told = self.types("order", "complete", order_id, "curfew", "--hours", hours, *door, *WHO, "--json")
        assert len(json.loads(told)["not_monitored"]) == 2
        with self.store.read() as connection:
            assert [one.version for one in orders.versions(connection, order_id)] == [1, 2, 3]

    def night(self, tag: VirtualTag, from_ms: int) -> None:
        """At home, in the evening into the zone and out of the curfew, and home again."""
        leaves_ms = self.begin_ms + round(self.out_h * HOUR)
        way = Itinerary(from_ms, HOME).stay(leaves_ms).walk(PALACE).stay(leaves_ms + HOUR).walk(HOME)
        way.stay(self.begin_ms + round(self.up_h * HOUR))
        tag.set_pin(leaves_ms, MOVING_PIN, 1)
        for at_ms, said in GnssReceiver(way, seed=3, interval_ms=10_000).sentences(from_ms, way.end_ms):
            tag.feed(at_ms, said)
        for at_ms in range(from_ms, way.end_ms + 1, 10 * MINUTE):
            tag.run_until(at_ms)
            self.gateway.advance(at_ms)

    def alerts(self) -> dict[str, list[dict[str, Any]]]:
        """What the page's interface tells, by rule."""
        told = httpx.get(self.gateway.web_url + "api/v1/alerts", params={"limit": 100}).json()["alerts"]
        found: dict[str, list[dict[str, Any]]] = {}
        for one in told:
            found.setdefault(one["rule"], []).append(one)
        return found

    def told(self, number: int) -> list[str]:
        """What the webhook has got about an alert; waited for."""
        begins, until_s = f"Alert {number},", time.monotonic() + 60
        while not any(one.startswith(begins) for one in self.receiver.got):
            assert time.monotonic() < until_s, self.receiver.got
            time.sleep(0.05)
        return [one for one in self.receiver.got if one.startswith(begins)]


@contextmanager
def by_hand(story: Story, order_id: str) -> Iterator[tuple[VirtualTag, int]]:
    """The visit at six times its pace, and the tag as it goes on; from when on it hears nothing more of the visit."""
    with on_a_leg("gps_tag", story.folder / "tag") as tag:
        with Plug(tag) as plug:
            wanted = Asked(order_id, "Sam Officer", TAG, ports=plug.paths, answers=ALL_WELL, **SPANS)
            assert fit(story.settings, story.store, wanted, Watcher(), "fit").activation == f"{TAG}-1"
        yield tag, story.begin_ms + AHEAD_S * 1000


@contextmanager
def by_the_command(story: Story, order_id: str) -> Iterator[tuple[VirtualTag, int]]:
    """`tagwatch fit --simulated gps`; then the same tag, with all that its flash holds, is switched on again."""
    answers = story.folder / "answers.json"
    answers.write_text(json.dumps(ALL_WELL))
    story.types(
        *("fit", order_id, "--simulated", "gps", "--by", "Sam Officer", "--json", "--no-input", "--no-pdf"),
        *("--answers", answers),
    )
    start_ms = max(time.time_ns() // 1_000_000, story.begin_ms + unfitted.SOON_MS) + MINUTE
    with VirtualTag(story.folder / "simulated" / "gps", None, start_ms=start_ms, clock_set=True) as tag:
        tag.start()
        yield tag, start_ms


@pytest.mark.parametrize("fitting", [by_hand, pytest.param(by_the_command, marks=pytest.mark.long)])
@pytest.mark.timeout(600)
def test_an_order_that_comes_in_by_http_ends_as_an_alert_on_somebodys_phone(
    tmp_path: Path, data: Path, fitting: Callable[[Story, str], Any]
) -> None:
    receiver = Web()
    story = Story(tmp_path / "gateway", receiver, data, whole=fitting is by_the_command)
    try:
        order_id = story.order_comes_in()
        story.gateway.advance(story.begin_ms + 1)
        story.gateway.advance(story.begin_ms + unfitted.SOON_MS + 1)
        (waits,) = story.alerts()["order_not_monitored"]
        assert (waits["device"], waits["severity"], waits["wearer"]["name"]) == (None, "high", "Person Mock")
        assert "4 of 4 conditions are NOT MONITORED" in waits["sentence"]
        assert story.told(waits["number"]) == [
            f"Alert {waits['number']}, revision 1: high. https://box.example/alerts/{waits['number']} "
            f"[1.{waits['number']}.1.duty.ann.0]"
        ]
        story.is_completed(order_id)
        with fitting(story, order_id) as (tag, from_ms):
            story.night(tag, from_ms)
        found = story.alerts()
        assert [one["state"] for one in found["order_not_monitored"]] == ["ended"]
        assert [one["state"] for one in found["not_monitored"]] == ["open", "open"], "the two that are words"
        (absent,), (inside,) = found["absent_during_curfew"], found["in_exclusion_zone"]
        left_ms = story.begin_ms + round(story.out_h * HOUR)
        for one, earliest_ms, latest_ms in (
            (absent, left_ms, left_ms + 20 * MINUTE),
            (inside, left_ms, left_ms + 20 * MINUTE),
        ):
            start_ms = datetime.fromisoformat(one["start"]).astimezone(UTC).timestamp() * 1000
            assert earliest_ms <= start_ms <= latest_ms
            assert (one["device"], one["order_version"], one["state"]) == (TAG, 3, "ended")
        for one in (absent, inside, *found["not_monitored"]):
            assert story.told(one["number"])
        assert not any("Person Mock" in said or "palace" in said for said in receiver.got)
    finally:
        story.end()
        receiver.close()
