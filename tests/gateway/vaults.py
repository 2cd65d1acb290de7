"""A vault that is not on any disk, for tests of what comes after the keys are opened."""

from __future__ import annotations

from pathlib import Path

from gateway.seal import DEVICE_KEY, Masters, Vault

VAULT = Vault(Path("on-no-disk"), Masters((bytes(range(32)),)))


def sealed(device: str, key: bytes) -> bytes:
    """A device's key as it stands in the store."""
    return VAULT.seal(DEVICE_KEY, device, key)
