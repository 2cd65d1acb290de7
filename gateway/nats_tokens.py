"""The signed answers that NATS' authorization callout wants: JSON web tokens under an Ed25519 key ("nkey").

Form: github.com/nats-io/nkeys and ADR-26 of nats-architecture-and-design.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_ACCOUNT = 0
_HEADER = b'{"typ":"JWT","alg":"ed25519-nkey"}'


def account_key(key: Ed25519PrivateKey) -> str:
    """The public half as NATS writes it: prefix, key and CRC-16 in base 32; begins with A."""
    raw = bytes((_ACCOUNT,)) + key.public_key().public_bytes_raw()
    return _base32(raw + _crc16(raw).to_bytes(2, "little"))


def sign(key: Ed25519PrivateKey, claims: Mapping[str, Any]) -> str:
    """``claims`` as a token of ``key``; issuer, time and id are added."""
    body = {**claims, "iss": account_key(key), "iat": int(time.time())}
    body["jti"] = _base32(hashlib.sha256(json.dumps(body).encode()).digest())
    signed = f"{_base64(_HEADER)}.{_base64(json.dumps(body).encode())}"
    return f"{signed}.{_base64(key.sign(signed.encode()))}"


def claims(token: str) -> dict[str, Any]:
    """What a token says; who signed it is not looked at. Raises ValueError where it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("not a token of three parts")
    document = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    if not isinstance(document, dict):
        raise ValueError("a token's claims are an object")
    return document


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _base32(data: bytes) -> str:
    return base64.b32encode(data).rstrip(b"=").decode()


def _crc16(data: bytes) -> int:
    """CRC-16/XMODEM: polynomial 0x1021, from 0."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021) & 0xFFFF if crc & 0x8000 else crc << 1
    return crc
