"""Both brokers, so that a test is the same with either: the gateway's own NATS, and a Mosquitto that is not ours."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from gateway import broker, mosquitto
from gateway.authority import Authority
from gateway.process import GatewayProcess
from gateway.settings import FILE_NAME, Settings
from gateway.store import Store

NATS, MOSQUITTO = "nats", "mosquitto"
PROGRAM = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
_ANSWERS_S = 60.0
_AGAIN_S = 0.1
"""As soon as that systemd starts a service again which was killed."""


class Broker(Protocol):
    """A broker that a gateway uses."""

    @property
    def outside(self) -> bool:
        """Whether it is none of the gateway's processes."""

    def kill(self, gateway: GatewayProcess) -> None:
        """SIGKILL to it; whatever it kept is gone. Returns when it runs anew, and the gateway is connected."""


class Embedded:
    """The gateway's own."""

    outside = False

    def kill(self, gateway: GatewayProcess) -> None:
        """As of `Broker`: the gateway starts it again."""
        old = gateway.kill_part("broker")
        gateway.wait_restarted("broker", old)


class Mosquitto:
    """Debian's Mosquitto with the files that ``tagwatch broker config mosquitto`` writes into a gateway's folder.

    A context. Whatever is started on that folder meanwhile uses it: it is named in the folder's settings.
    ``settings`` are others of that folder that it is to be configured by; ``folder`` is its own, ``log`` what it says.
    """

    outside = True

    def __init__(
        self, data_dir: Path, *, folder: Path | None = None, log: Path | None = None, **settings: Any
    ) -> None:
        assert Path(PROGRAM).exists(), (
            "mosquitto is missing: apt-get install -y --no-install-recommends mosquitto"
        )
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = data_dir / "outside-broker" if folder is None else folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._pid = self._folder / "mosquitto.pid"
        self.log = self._folder / "mosquitto.log" if log is None else log
        chosen: dict[str, object] = {
            "broker": f"mqtts://127.0.0.1:{free_port()}",
            "broker_reload": shlex.join(["/bin/sh", "-c", f"kill -HUP $(cat {shlex.quote(str(self._pid))})"]),
        }
        # as an operator writes them; strings, numbers and lists of JSON are TOML's, too
        told = "".join(f"{name} = {json.dumps(value)}\n" for name, value in (chosen | settings).items())
        (data_dir / FILE_NAME).write_text(told)
        self.settings = Settings.load(data_dir)
        self.authority = Authority.of(self.settings)
        store = Store.open(self.settings.store_place)
        made = self.settings.mosquitto_dir
        mosquitto.write(self.settings, self.authority, store, made, made)
        store.close()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; does not wait until it answers."""
        made = (self.settings.mosquitto_dir / "tagwatch.conf").read_text()
        configuration = self._folder / "mosquitto.conf"
        # it would become another user, who may not read a test's folder
        configuration.write_text("user root\n" + made)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([PROGRAM, "-c", str(configuration)], stdout=log, stderr=log)
        self._pid.write_text(str(self._process.pid))

    def wait(self) -> None:
        """Returns when it takes connections."""
        probe = broker.probe_tls(self.authority), self.settings.server_names[0]
        give_up = time.monotonic() + _ANSWERS_S
        while not broker.answers(broker.address(self.settings), *probe):
            assert time.monotonic() < give_up, "mosquitto did not start"
            time.sleep(0.02)

    def kill_at_once(self) -> None:
        """SIGKILL, and a moment later it is started again; nothing is waited for."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        time.sleep(_AGAIN_S)
        self.start()

    def kill(self, gateway: GatewayProcess) -> None:
        """As of `Broker`; it keeps nothing on a disk anyhow."""
        before = gateway.status()["process"].get("connections", 0)
        self.kill_at_once()
        self.wait()
        give_up = time.monotonic() + _ANSWERS_S
        while not (now := gateway.status())["connected"] or now["process"]["connections"] == before:
            assert time.monotonic() < give_up, "the gateway did not connect again"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)

    def __enter__(self) -> Mosquitto:
        self.start()
        self.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def behind(which: str, data_dir: Path, **settings: Any) -> Iterator[Broker]:
    """Whatever gateway is started on this folder within uses the broker of this name.

    ``settings`` are those of the gateway that an outside broker is to be configured by.
    """
    if which == NATS:
        yield Embedded()
        return
    with Mosquitto(data_dir, **settings) as outside:
        yield outside


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
