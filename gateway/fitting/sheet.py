"""A visit as whoever goes there has to know it, and the list of a night in a file under a passphrase, to take along.

The file is JSON: how its key is made from the passphrase (scrypt, RFC 7914), and what is sealed under it
(ChaCha20-Poly1305, RFC 8439; the head is authenticated with it). It counts for hours: past them, or where the clock was
set back, it is wiped and not shown. Each look is written into it before it is given, and comes back with it.
"""

from __future__ import annotations

import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gateway.clock import utc_text
from gateway.fitting.doorstep import Doorstep
from gateway.orders.told import local
from gateway.visit_list import Planned
from gateway.whole_files import wipe, write_whole

FORM = 1
AFTER_LAST_MS = 12 * 3_600_000
"""How long the file counts after the last visit in it."""
SET_BACK_MS = 10 * 60_000
"""A clock may be so far behind the gateway's; one that is further behind was set back."""
LEAST_PASSPHRASE = 12
_N, _R, _P = 1 << 15, 8, 1
"""32 MiB for a try, a tenth of a second or so on a laptop (RFC 7914)."""
_SALT_BYTES, _NONCE_BYTES = 16, 12


class SheetError(ValueError):
    """The file can not be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The visits of a night, each as lines by their names. Instants are UTC ms; ``looks`` are (instant, who)."""

    officer: str
    by: str
    made_ms: int
    until_ms: int
    visits: Sequence[Mapping[str, Any]]
    looks: Sequence[tuple[int, str]] = field(default=())


def told(one: Planned, who: Doorstep, conditions: Sequence[str]) -> dict[str, Any]:
    """All that has to be known of a visit, by names that people read; what was not told is not there."""
    yes_no = {True: "yes", False: "no", None: None}
    child = {True: "under 18", False: "adult", None: "not told whether under 18: ask"}
    adult = ", ".join(part for part in (who.adult, who.adult_relation, who.adult_phone) if part)
    language = who.language or ("language not told" if who.interpreter else "")
    lines = {
        "visit": one.id,
        "at": local(one.at_ms),
        "for": one.purpose,
        "officer": one.officer,
        "order": one.order_id,
        "wearer": f"{who.wearer}{f', born {who.born}' if who.born else ''} ({child[who.child]})",
        "address": list(who.addresses) or ("no fixed address" if who.no_fixed_address else "not told"),
        "no fixed address": "yes" if who.no_fixed_address else None,
        "at source": who.at_source,
        "risk": list(who.risks) or "nothing told",
        "disability and medical": list(who.disabilities) or "nothing told",
        "interpreter": f"needed: {language}" if who.interpreter else yes_no[who.interpreter],
        "language": who.language,
        "responsible adult": f"required: {adult or 'not named'}" if who.needs_adult else adult,
        "telephone": who.phone,
        "device": who.device_type,
        "responsible officer": who.officer,
        "note": one.note,
        "conditions": list(conditions),
    }
    return {name: value for name, value in lines.items() if value}


def passphrase_problem(passphrase: str) -> str:
    """Why this can not be the passphrase; "" where it can."""
    if len(passphrase) < LEAST_PASSPHRASE:
        return f"the passphrase has {len(passphrase)} characters, and needs {LEAST_PASSPHRASE}: take three random words"
    return ""


def write(path: Path, sheet: Sheet, passphrase: str) -> None:
    """Write the file anew, whole or not at all, for its owner only. Raises OSError."""
    head = {
        "tagwatch_visits": FORM,
        "salt": b64encode(secrets.token_bytes(_SALT_BYTES)).decode(),
        "n": _N,
        "r": _R,
        "p": _P,
    }
    nonce = secrets.token_bytes(_NONCE_BYTES)
    body = {
        "officer": sheet.officer,
        "by": sheet.by,
        "made_ms": sheet.made_ms,
        "until_ms": sheet.until_ms,
        "visits": list(sheet.visits),
        "looks": [list(look) for look in sheet.looks],
    }
    plain = json.dumps(body, ensure_ascii=False).encode()
    sealed = _cipher(head, passphrase).encrypt(nonce, plain, _about(head))
    whole = {**head, "sealed": b64encode(nonce + sealed).decode()}
    write_whole(path, (json.dumps(whole) + "\n").encode(), 0o600)


def read(path: Path, passphrase: str) -> Sheet:
    """What a file holds. Raises SheetError where it is none, was changed, or this is not its passphrase; OSError."""
    try:
        whole = json.loads(path.read_bytes())
        sealed = b64decode(whole.pop("sealed"), validate=True)
        # another's figures could have this computer work for hours
        if (whole["tagwatch_visits"], whole["n"], whole["r"], whole["p"]) != (FORM, _N, _R, _P):
            raise ValueError("it is of another form")
        cipher = _cipher(whole, passphrase)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SheetError(f"{path} is no list of visits ({error}): have it made anew") from None
    try:
        plain = cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _about(whole))
    except (InvalidTag, ValueError):
        raise SheetError(f"this is not the passphrase of {path}, or somebody has changed it") from None
    body = json.loads(plain)
    looks = [(at_ms, who) for at_ms, who in body["looks"]]
    return Sheet(body["officer"], body["by"], body["made_ms"], body["until_ms"], body["visits"], looks)


def look(path: Path, passphrase: str, by: str, now_ms: int) -> Sheet:
    """What a file holds, for a person named ``by``; the look is in the file before it is given.

    Raises SheetError where it does not count any more: then it is wiped.
    """
    sheet = read(path, passphrase)
    if now_ms >= sheet.until_ms or now_ms < sheet.made_ms - SET_BACK_MS:
        why = (
            f"counted until {utc_text(sheet.until_ms)}"
            if now_ms >= sheet.until_ms
            else f"was made at {utc_text(sheet.made_ms)}, and this computer's clock is behind that"
        )
        wipe(path)
        raise SheetError(f"{path} {why}: it is wiped; have it made anew")
    seen = Sheet(
        sheet.officer, sheet.by, sheet.made_ms, sheet.until_ms, sheet.visits, (*sheet.looks, (now_ms, by))
    )
    write(path, seen, passphrase)
    return seen


def _cipher(head: Mapping[str, Any], passphrase: str) -> ChaCha20Poly1305:
    salt = b64decode(head["salt"], validate=True)
    key = Scrypt(salt=salt, length=32, n=head["n"], r=head["r"], p=head["p"]).derive(passphrase.encode())
    return ChaCha20Poly1305(key)


def _about(head: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(sorted(head.items()))).encode()
