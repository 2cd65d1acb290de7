"""Devices in stock: where each is, what was done with it, and what it fed while it was faulty. See docs/stock.md.

``register`` puts devices into quarantine and takes them out; ``faults`` flags alerts; ``history`` is what is told.
"""

from gateway.stock.register import StockError

__all__ = ["StockError"]
