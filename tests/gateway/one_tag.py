"""A store that knows one tag."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.store import Store, devices

TAG = "tag0001"


def store_with_a_tag(tmp_path: Path) -> Iterator[Store]:
    """A new store with `TAG`; for a fixture."""
    opened = Store.open(tmp_path / "store.sqlite")
    with opened.write() as connection:
        devices.add(connection, devices.Device(TAG, bytes(32), b"", 0, None))
    yield opened
    opened.close()
