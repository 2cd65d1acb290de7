"""A network that says things again: whatever devices said comes a second time, in order or shuffled."""

from __future__ import annotations

import queue
import random

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from gateway import broker, topics
from sim.fleet import identity
from sim.rig import Rig

NAME = "network-echo"
"""Its certificate's name: the run's own settings let it say everything (``Rig(senders=(NAME,))``)."""

_WAIT_S = 10.0


class Echo:
    """Hears what devices say from now on; `repeat` says all of it again."""

    def __init__(self, rig: Rig, *, shuffled: bool, seed: int) -> None:
        self._heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._order = random.Random(seed) if shuffled else None
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=NAME)
        self._client.tls_set_context(identity(rig.authority, rig.settings.data_dir / NAME, NAME))
        self._client.on_message = lambda client, data, message: self._hear(message)
        self._client.on_connect = lambda client, *rest: client.subscribe(topics.UP_FILTER, 1) and None
        place = broker.address(rig.settings)
        self._client.connect(rig.settings.server_names[0], place.port)
        self._client.loop_start()
        self._said: set[bytes] = set()

    def _hear(self, message: mqtt.MQTTMessage) -> None:
        data = bytes(message.payload)
        if data not in self._said:  # our own come back to us
            self._heard.put((message.topic, data))

    def repeat(self) -> None:
        """Say again what was said since the last time."""
        messages = []
        while not self._heard.empty():
            messages.append(self._heard.get_nowait())
        if self._order is not None:
            self._order.shuffle(messages)
        for topic, data in messages:
            self._said.add(data)
            self._client.publish(topic, data, qos=1).wait_for_publish(_WAIT_S)

    def leave(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()
