"""The link to the broker: messages in, in order and bounded; acknowledgements and commits out.

The network thread only takes messages off the stream (`gateway.frames`) into the queue. Deciding, writing and answering
happen on the caller's thread, so that a slow disk never makes the connection time out.
"""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Concatenate, NamedTuple, ParamSpec

import structlog
from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from gateway.broker import Address
from gateway.frames import Bounded, FrameSocket, Published, puback, publish
from gateway.group import Received
from gateway.rates import Rates
from gateway.topics import UP_FILTER

log = structlog.get_logger(__name__)

CLIENT_ID = "tagwatch-gateway"
_KEEPALIVE_S = 30
_RECONNECT_S = (0.25, 5)
_OPENS_S = 3.0
_ECHO_EVERY_S = 15.0
_ECHO_LOST_S = 90.0
"""Three keep-alives: by then a live connection has brought back what was sent through it."""

_PUBACK = 0x40
_WRITE_BYTES = 16_384  # a record of TLS
_QUEUE_BYTES = 32 * 1024 * 1024
"""However large what strangers send: so much waits in memory at most, and a group is no larger."""

P = ParamSpec("P")


class LinkDeadError(RuntimeError):
    """The connection looks alive and is not; only a new process helps."""


class Ticket(NamedTuple):
    """What the broker wants acknowledged: a message id within one connection."""

    connection: int
    message_id: int
    qos: int


class Echo(NamedTuple):
    """Something that this link sent to itself: all that was published before it has been taken."""

    token: str
    ticket: Ticket


class Unread(NamedTuple):
    """A message beyond what one tag may say: it is acknowledged in its turn, and stays in the tag's journal."""

    ticket: Ticket


class _Client(Client):
    """paho, reading through a ``FrameSocket``; the version of paho is pinned, for this is not of its public face."""

    def __init__(self, wrap: Callable[[Any], FrameSocket], *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._wrap = wrap

    def _create_socket(self) -> Any:
        return self._wrap(super()._create_socket())

    @property
    def is_alive(self) -> bool:
        """Whether the network thread runs; paho shows its end nowhere else."""
        return self._thread is not None and self._thread.is_alive()

    def hand_over(self, packets: Sequence[bytes]) -> None:
        """Have the network thread write these whole packets, that nothing answers to, one after the other."""
        some: list[bytes] = []
        size = 0
        for packet in packets:
            some.append(packet)
            size += len(packet)
            if size >= _WRITE_BYTES:
                self._packet_queue(_PUBACK, b"".join(some), 0, 1)
                some, size = [], 0
        if some:
            self._packet_queue(_PUBACK, b"".join(some), 0, 1)


def _contained(
    handler: Callable[Concatenate[Uplink, P], None],
) -> Callable[Concatenate[Uplink, P], None]:
    """An exception that leaves a handler would end the network thread while the client still says it is connected."""

    @wraps(handler)
    def guarded(self: Uplink, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            handler(self, *args, **kwargs)
        except Exception:  # any fault must leave the thread alive; it is counted and told
            self.counts["callback_errors"] += 1
            log.exception("a handler of the broker link failed", handler=handler.__name__)

    return guarded


class Uplink:
    """One connection to a broker, made again whenever it is lost. Start it, take from it, stop it."""

    def __init__(
        self,
        place: Address,
        tls: ssl.SSLContext | None,
        *,
        queue_size: int,
        stamp: Callable[[], int],
        open_to_us: Callable[[], bool] = lambda: True,
        rates: Rates | None = None,
    ) -> None:
        self._place = place
        self._stamp = stamp
        self._open_to_us = open_to_us
        self._rates = rates
        self._queue: Bounded[Received | Unread | Echo] = Bounded(queue_size, _QUEUE_BYTES)
        self._guard = threading.Lock()
        self._connection = 0
        self._current: int | None = None
        self._stopping = False
        self._echo_topic = f"em/v1/gw/{secrets.token_hex(16)}/up"
        self._echo_bytes = self._echo_topic.encode()
        self._echo_sent = self._echo_heard = time.monotonic()
        self._unacknowledged: deque[tuple[MQTTMessageInfo, float]] = deque()
        self._owing = threading.Lock()
        self._lost_s = time.monotonic()
        """When there was a connection last."""
        self._full_s = 0.0
        """When the queue was seen to be full last; meanwhile nothing is read that the broker says."""
        self.counts: Counter[str] = Counter()
        self.subscribed = threading.Event()
        self._client = _Client(
            self._through_frames,
            CallbackAPIVersion.VERSION2,
            client_id=CLIENT_ID,
            clean_session=True,
            protocol=MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        if tls is not None:
            self._client.tls_set_context(tls)
        self._client.on_pre_connect = self._on_pre_connect
        self._client.on_socket_open = self._on_socket_open
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        shortest, longest = _RECONNECT_S
        self._client.reconnect_delay_set(shortest, longest)  # type: ignore[arg-type]  # fractions work

    def start(self) -> None:
        """Begin to connect; does not wait for it."""
        self._client.connect_async(self._place.host, self._place.port, _KEEPALIVE_S)
        self._client.loop_start()

    def stop(self) -> None:
        """Say goodbye to the broker and end the network thread."""
        self._stopping = True
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def waiting(self) -> int:
        """Messages in the queue, about."""
        return len(self._queue)

    def take(self, most: int, wait_s: float, company_s: float) -> list[Received | Unread | Echo]:
        """Messages in the order of their arrival: at most ``most``, none if there is none within ``wait_s``.

        After the first it waits up to ``company_s`` for more.
        """
        return self._queue.take(most, wait_s, company_s)

    def acknowledge(self, tickets: Sequence[object]) -> None:
        """Tell the broker that these are done with, in this order; those of an earlier connection are passed over."""
        with self._guard:  # a connection can not change between look and acknowledgement
            current = self._current
            self._client.hand_over(
                [
                    puback(ticket.message_id)
                    for ticket in tickets
                    if isinstance(ticket, Ticket) and ticket.connection == current and ticket.qos
                ]
            )

    def send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publish (topic, data) at QoS 0; without a connection they are lost, and asked for again."""
        with self._guard:
            if self._current is None:
                self.counts["unsent"] += len(messages)
            else:
                self._client.hand_over([publish(topic.encode(), data) for topic, data in messages])

    def echo(self, token: str) -> bool:
        """Send ``token`` round through the broker, behind all that it has taken; False without a connection."""
        if not self.subscribed.is_set():
            return False
        sent = self._client.publish(self._echo_topic, token, qos=1)
        if sent.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        self._owed((sent, time.monotonic()))
        return True

    @property
    def refused_s(self) -> float:
        """How long the broker has owed an acknowledgement of what this link said, or, without it, a connection.

        A broker whose disk was full takes no message any more, and perhaps no connection; also when there is room.
        """
        since_s = self._owed() if self.subscribed.is_set() else self._lost_s
        return 0.0 if since_s is None else time.monotonic() - max(since_s, self._full_s)

    def _owed(self, *said: tuple[MQTTMessageInfo, float]) -> float | None:
        """When the first message that is not acknowledged was said, after ``said`` were; None where there is none."""
        with self._owing:
            self._unacknowledged.extend(said)
            while self._unacknowledged and self._unacknowledged[0][0].is_published():
                self._unacknowledged.popleft()
            return self._unacknowledged[0][1] if self._unacknowledged else None

    def check(self) -> None:
        """To be called about once a second. Raises LinkDeadError where the link has died without saying so."""
        if not self._client.is_alive:
            raise LinkDeadError("the network thread has ended")
        now = time.monotonic()
        if not self.subscribed.is_set() or self._queue.room <= 0:
            self._echo_heard = now
        elif now - self._echo_heard > _ECHO_LOST_S:
            raise LinkDeadError(f"nothing has come back through the broker for {_ECHO_LOST_S:.0f} s")
        elif now - self._echo_sent > _ECHO_EVERY_S:
            self._echo_sent = now
            self.echo("")

    @_contained
    def _on_pre_connect(self, _client: Client, _data: Any) -> None:
        # who comes before the doorkeeper has its answer only when the broker has given up on that one, 5 s later
        deadline = time.monotonic() + _OPENS_S
        while not self._open_to_us() and not self._stopping and time.monotonic() < deadline:
            time.sleep(0.01)

    @_contained
    def _on_socket_open(self, _client: Client, _data: Any, opened: Any) -> None:
        # acknowledgements are 4 bytes: waiting to fill a packet would cost 40 ms each
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @_contained
    def _on_connect(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            log.warning("the broker refuses the gateway", reason=str(reason))
            return
        with self._guard:
            self._connection += 1
            self._current = self._connection
        self.counts["connections"] += 1
        client.subscribe(UP_FILTER, qos=1)

    @_contained
    def _on_subscribe(self, client: Client, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            log.error("the broker refuses the subscription", topics=UP_FILTER)
            client.disconnect()
            return
        self._echo_heard = time.monotonic()
        self.subscribed.set()
        log.info("connected to the broker")

    @_contained
    def _on_disconnect(self, _client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        with self._guard:
            self._current = None
        if self.subscribed.is_set():
            self._lost_s = time.monotonic()
            self.subscribed.clear()
            log.info("connection to the broker ended", reason=str(reason))

    def _through_frames(self, stream: Any) -> FrameSocket:
        return FrameSocket(stream, self._take_in, lambda: self._queue.room, self._wait_for_room)

    def _wait_for_room(self, wait_s: float) -> bool:
        if self._queue.wait_for_room(wait_s):
            return True
        # not reading from the socket is what slows the senders down
        self._full_s = time.monotonic()
        self.counts["queue_full"] += 1
        return False

    def _take_in(self, published: Sequence[Published]) -> None:
        items: list[tuple[Received | Unread | Echo, int]] = []
        for message in published:
            try:
                items.append((self._item(message), len(message.payload)))
            except Exception:  # any fault must leave the thread alive; it is counted and told
                self.counts["callback_errors"] += 1
                log.exception("a message could not be taken in")
        self._queue.put(items)

    def _item(self, message: Published) -> Received | Unread | Echo:
        ticket = Ticket(self._connection, message.message_id, message.qos)
        if message.topic == self._echo_bytes:
            self._echo_heard = time.monotonic()
            return Echo(message.payload.decode(), ticket)
        if self._rates is not None and self._rates.over(message.topic, time.monotonic()):
            self.counts["beyond_rate"] += 1
            # something has come, so the link lives, though the echo may stand in a long queue behind it
            self._echo_heard = time.monotonic()
            return Unread(ticket)
        try:
            topic = message.topic.decode()
        except UnicodeDecodeError:
            topic = "(a topic that is not UTF-8)"
        return Received(topic, message.payload, self._stamp(), ticket)
