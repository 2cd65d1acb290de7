"""A broker that is not ours: Debian's Mosquitto, with the gateway's certificates, does as well as the embedded one."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.settings import Settings, SettingsError
from sim.recordings import load
from sim.replay import Result, replay
from sim.rig import Rig
from tests.system.brokers import PROGRAM, Mosquitto, free_port
from tests.system.test_a_real_day import DAY, ZONE


@pytest.fixture(params=["mqtts", pytest.param("mqtt", marks=pytest.mark.long)])
def mosquitto(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Path, str]]:
    """Mosquitto: with mutual TLS on a data folder's own authority, and bare. The folder, and its address."""
    data_dir = tmp_path / "gateway"
    if request.param == "mqtts":
        with Mosquitto(data_dir) as outside:
            yield data_dir, outside.settings.broker
        return
    port = free_port()
    configuration = tmp_path / "mosquitto.conf"
    configuration.write_text(
        f"user root\nlistener {port} 127.0.0.1\npersistence false\nallow_anonymous true\n"
    )
    with (tmp_path / "mosquitto.log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "-c", str(configuration)], stdout=log, stderr=log)
        try:
            for _ in range(250):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.02)
            yield data_dir, f"mqtt://localhost:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


@pytest.fixture(scope="module")
def embedded(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The same day through the embedded broker."""
    with Rig(tmp_path_factory.mktemp("embedded")) as rig:
        (result,) = replay(rig, [load(data / "trails" / DAY, 0)], zone=ZONE)
    return result


def test_a_real_day_through_mosquitto_gives_the_same_alerts_as_through_the_embedded_broker(
    data: Path, mosquitto: tuple[Path, str], embedded: Result
) -> None:
    data_dir, address = mosquitto
    with Rig(data_dir, broker=address) as rig:
        assert rig.gateway.run().get("broker_pid") is None
        (outside,) = replay(rig, [load(data / "trails" / DAY, 0)], zone=ZONE)
    assert [alert["id"] for alert in outside.alerts] == [alert["id"] for alert in embedded.alerts]
    assert [alert["sentence"] for alert in outside.alerts] == [alert["sentence"] for alert in embedded.alerts]
    assert len(outside.alerts) >= 5
    assert outside.positions.t_ms.tolist() == embedded.positions.t_ms.tolist()


def test_a_bare_broker_elsewhere_is_refused_because_anyone_could_read_along() -> None:
    with pytest.raises(SettingsError, match="mqtts://"):
        Settings.load(broker="mqtt://broker.example:1883")
