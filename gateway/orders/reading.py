"""A message's bytes read as JSON: lenient in form, and nothing lost on the way.

Numbers stay as they were written, a key that stands twice is told of, and what could not be stored or shown as text
(half characters, NUL) is replaced only where text is taken out of the message; the bytes themselves stay as they came.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 64
"""Deeper than any message of the order service by far; a deeper one is no order."""


class NoMessageError(ValueError):
    """What came is not a message; the text says why."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a message, as it was written there."""

    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """What a message says.

    ``content`` is the SHA-256 (hex) of its meaning: the same for two messages that differ only in spaces or in the
    order of their keys. ``twice`` names keys that stand more than once; the last one counts.
    """

    fields: Mapping[str, Any]
    content: str
    twice: tuple[str, ...] = ()


def read(data: bytes) -> Message:
    """Read a message. Raises NoMessageError where it is no JSON object."""
    twice: list[str] = []

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(found)
        if len(fields) < len(found):
            names = [name for name, _ in found]
            twice.extend(sorted({name for name in names if names.count(name) > 1}))
        return fields

    try:
        text = data.decode(json.detect_encoding(data))
        document = json.loads(
            text.removeprefix("\ufeff"),
            object_pairs_hook=pairs,
            parse_int=Number,
            parse_float=Number,
            parse_constant=_no_number,
        )
    except RecursionError:
        raise NoMessageError("it is nested too deeply to be an order") from None
    except ValueError as error:  # no JSON, or not in an encoding that JSON is written in
        raise NoMessageError(f"it is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise NoMessageError("it is JSON, but not an object")
    if _depth(document) > MAX_DEPTH:
        raise NoMessageError("it is nested too deeply to be an order")
    said = json.dumps(document, sort_keys=True, separators=(",", ":"), default=_as_written)
    # of keys that stand twice the document keeps one: then only the bytes themselves are the same message
    source = text.encode("utf-8", "surrogatepass") if twice else said.encode()
    return Message(document, hashlib.sha256(source).hexdigest(), tuple(dict.fromkeys(twice)))


def as_text(data: bytes) -> str:
    """A message that was read before, word for word, to be put into another JSON document."""
    return data.decode(json.detect_encoding(data)).removeprefix("\ufeff").strip()


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _as_written(value: object) -> Any:
    assert isinstance(value, Number), "nothing else is made while reading"
    return {"number": value.text}


def _depth(document: object) -> int:
    deepest, level = 0, [document]
    while level:
        deepest += 1
        below: list[object] = []
        for value in level:
            if isinstance(value, Mapping):
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
        level = [value for value in below if isinstance(value, Mapping | list)]
    return deepest
