"""The flash of a virtual tag: a LittleFS image as a board's partition holds it, in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from littlefs import LittleFS

if TYPE_CHECKING:
    from gateway.devices import Credentials

BLOCK_BYTES = 4096
FLASH_BYTES = 1 << 20


def make_image(path: Path, credentials: Credentials | None, config: Mapping[str, object]) -> None:
    """Write a fresh image of 1 MiB, provisioned as ``tagwatch device add`` provisions a tag; empty without credentials.

    ``config`` adds to or replaces settings of ``/config.json``. The image appears whole or not at all.
    """
    files = provisioned(credentials, config) if credentials is not None else {}
    flash = LittleFS(block_size=BLOCK_BYTES, block_count=FLASH_BYTES // BLOCK_BYTES)
    for name, content in files.items():
        with flash.open(f"/{name}", "wb") as file:
            file.write(content)
    flash.unmount()
    half_made = path.with_suffix(".new")
    half_made.touch(mode=0o600)  # it holds the device's keys
    half_made.write_bytes(bytes(flash.context.buffer))
    half_made.rename(path)


def provisioned(credentials: Credentials, config: Mapping[str, object]) -> dict[str, bytes]:
    """The files that a provisioned device has, by name."""
    settings: dict[str, object] = {
        "device": credentials.device,
        "host": credentials.host,
        "port": credentials.port,
        "server_name": credentials.server_name,
        "key": credentials.key.hex(),
        "tls": credentials.tls,
        **config,
    }
    return {
        "config.json": json.dumps(settings).encode(),
        "ca.der": credentials.ca_der,
        "cert.der": credentials.cert_der,
        "key.der": credentials.key_der,
    }


def read_files(path: Path) -> dict[str, bytes]:
    """Every file of the image, by its path; for looking at what a tag has left behind."""
    flash = LittleFS(block_size=BLOCK_BYTES, block_count=FLASH_BYTES // BLOCK_BYTES, mount=False)
    flash.context.buffer = bytearray(path.read_bytes())
    flash.mount()
    found: dict[str, bytes] = {}
    for folder, _, names in flash.walk("/"):
        for name in names:
            full = f"{folder.rstrip('/')}/{name}"
            with flash.open(full, "rb") as file:
                found[full] = file.read()
    return found
