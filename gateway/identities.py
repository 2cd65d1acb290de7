"""Who may say and hear what at the broker. An identity is the common name of a certificate, and nothing else.

Neither the client id nor a user name counts: a client chooses those itself. Both brokers' permissions are made from
what stands here (``gateway.doorkeeper`` for NATS, ``gateway.mosquitto``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gateway import topics
from gateway.authority import GATEWAY_NAME, PROBE_NAME


@dataclass(frozen=True, slots=True)
class Rights:
    """MQTT topic filters that an identity may publish to, and subscribe to."""

    writes: tuple[str, ...]
    reads: tuple[str, ...]


GATEWAY = Rights(
    # the second is where the gateway speaks to itself, see ``gateway.uplink``
    writes=("em/v1/+/+/down", "em/v1/gw/+/up"),
    reads=(topics.UP_FILTER, "em/v1/+/+/state"),
)
SENDER = Rights(writes=("em/v1/#",), reads=("em/v1/#",))
"""Of a test run's load generator or liar, that speaks for many devices; only where the settings name it."""


NOTHING = Rights((), ())
"""May connect, and no more."""


def of_device(device: str) -> Rights:
    """What a device may: speak on its own ``up`` and ``state``, and hear its own ``down``."""
    return Rights(writes=(topics.up(device), topics.state(device)), reads=(topics.down(device),))


def of_service(name: str, senders: Collection[str]) -> Rights | None:
    """The rights of an identity that is no device; None where there is none of this name."""
    if name == GATEWAY_NAME:
        return GATEWAY
    if name == PROBE_NAME:
        return NOTHING
    return SENDER if name in senders else None


def may_be_called(name: str, client_id: str, *, device: bool) -> bool:
    """Whether an identity may connect under this client id.

    A device has its own id only, for a second connection under the same client id ends the first. What is no device
    may have several connections: its name, or its name, a hyphen and anything. No two identities can collide so,
    because the id of a device has no hyphen.
    """
    return client_id == name or (not device and client_id.startswith(f"{name}-"))
