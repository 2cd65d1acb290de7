"""A network that says things again: whatever devices said comes a second time, in order or shuffled."""

from __future__ import annotations

import queue
import random
import time
from contextlib import suppress

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from gateway import broker, topics
from sim.fleet import identity
from sim.rig import Rig

NAME = "network-echo"
"""Its certificate's name: the run's own settings let it say everything (``Rig(senders=(NAME,))``)."""

_WAIT_S = 10.0
_RECONNECT_S = 0.1


class Echo:
    """Hears what devices say from now on; `repeat` says all of it again."""

    def __init__(self, rig: Rig, *, shuffled: bool, seed: int) -> None:
        self._heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._order = random.Random(seed) if shuffled else None
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=NAME)
        self._client.tls_set_context(identity(rig.authority, rig.settings.data_dir / NAME, NAME))
        self._client.on_message = lambda client, data, message: self._hear(message)
        self._client.on_connect = lambda client, *rest: client.subscribe(topics.UP_FILTER, 1) and None
        self._client.reconnect_delay_set(_RECONNECT_S, _RECONNECT_S)  # type: ignore[arg-type]  # fractions work
        place = broker.address(rig.settings)
        self._client.connect(rig.settings.server_names[0], place.port)
        self._client.loop_start()
        self._said: set[bytes] = set()

    def _hear(self, message: mqtt.MQTTMessage) -> None:
        data = bytes(message.payload)
        # our own come back to us; and what is nobody's is the gateway's own
        if data not in self._said and topics.speaker(message.topic) is not None:
            self._heard.put((message.topic, data))

    def repeat(self, order: random.Random | None = None, wait_s: float = _WAIT_S) -> None:
        """Say again what was said since the last time, shuffled by ``order`` where that is given.

        Waits so long at most until the broker has it; one that is away gets it when it is back.
        """
        messages = []
        while not self._heard.empty():
            messages.append(self._heard.get_nowait())
        order = order or self._order
        if order is not None:
            order.shuffle(messages)
        self._said.update(data for _, data in messages)
        deadline = time.monotonic() + wait_s
        for said in [self._client.publish(topic, data, qos=1) for topic, data in messages]:
            with suppress(RuntimeError):  # there is no broker now; the client says it to the next
                said.wait_for_publish(max(0.0, deadline - time.monotonic()))

    def say(self, topic: str, data: bytes) -> None:
        """Say something that nobody has said; it is not waited for."""
        self._client.publish(topic, data, qos=1)

    def is_taken(self, wait_s: float) -> bool:
        """Whether the broker takes a message, which nobody hears, within so long."""
        deadline = time.monotonic() + wait_s
        while not self._client.is_connected():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_RECONNECT_S)
        said = self._client.publish(topics.down("nobody"), b"", qos=1)
        with suppress(RuntimeError):  # it is gone again
            said.wait_for_publish(max(0.0, deadline - time.monotonic()))
            return said.is_published()
        return False

    def leave(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()
