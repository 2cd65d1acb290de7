"""Orders and activations: how an order comes in, and what is on record of it.

``register`` keeps typed orders and activations.
"""

from gateway.orders.register import (
    OrderRefused,
    Orders,
    activate,
    add_order,
    beyond,
    deactivate,
    instant_ms,
    left_out,
)

__all__ = [
    "OrderRefused",
    "Orders",
    "activate",
    "add_order",
    "beyond",
    "deactivate",
    "instant_ms",
    "left_out",
]
