"""The tool's side of a device's console (docs/console.md): who it is, what it is told, and under whose signature.

Every line is preceded by an ``identify``: its answer says that what comes next is the answer to what is said next, and
that it is still the same device that the visit began with. A device whose key the gateway holds gets every line signed,
locked or not: so a line that noise has changed is refused, never obeyed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gateway.fitting.line import Answer, Line
from gateway.fitting.stops import NoAnswer, Stop

HEARD_S = 4.0
"""An RF tag rests for up to 3 s between two looks at its contacts; every other answers within a tenth of that."""
ANSWER_S = 10.0
"""A self-test writes flash and asks each sensor; the slowest takes 3 s."""
PIECE_BYTES = 300
"""Of a file in one line: twice as many digits, the signature and the rest stay below the console's 1,024 bytes."""
_TRIES = 3
_PURPOSE = b"console"
_GARBLED = ("not a line of the console", "neither an object", "a line of more than")
"""How a device begins to say that it did not understand; what it will not do it says otherwise."""
_UNDERSTOOD = _GARBLED[0]
PROBE = b"??"
"""No line of the console: a device answers it differently where it was signed under its key."""
Signature = Callable[[str, bytes], bytes]
"""Signs a line (nonce, line)."""


class Refused(RuntimeError):  # noqa: N818 - what the device said
    """The device understood, and will not. The text is its own."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a device says of itself. ``device`` is None if never fitted; ``held`` readings are not committed."""

    device: str | None
    kind: str
    version: str
    epoch: int | None
    boots: int | None
    held: int
    locked: bool
    nonce: str


class Console:
    """A device at the other end of a line. ``signature`` signs a line to it (nonce, line), where its key is known.

    ``expected`` are the identities that it may have from now on, None for a new one without any (empty: whichever):
    what is meant for one is never said to another. ``settle`` is called before each line, while the device is to
    change its key: it may do so between any two.
    """

    def __init__(self, line: Line) -> None:
        self.line = line
        self.signature: Signature | None = None
        self.settle: Callable[[], None] | None = None
        self.expected: Sequence[str | None] = ()

    def identify(self, tries: int = _TRIES) -> Identity:
        """Ask who it is. Raises NoAnswer where nobody answers, and Stop where it is another than expected."""
        for left in reversed(range(tries)):
            self.line.clear()
            self.line.say(b'{"do": "identify"}')
            try:
                told = self.line.answer(HEARD_S)
                while "nonce" not in told:
                    told = self.line.answer(HEARD_S)  # to what noise had begun
            except NoAnswer:
                if not left:
                    raise
                continue
            found = _identity(told)
            if found is None:
                continue
            if self.expected and found.device not in self.expected:
                wanted = next(
                    (one for one in self.expected if one is not None), "a new one without an identity"
                )
                there = "that one" if None in self.expected else wanted
                raise Stop(
                    f"this is {named(found)}, and the visit is about {wanted}",
                    f"put the plug on {there}, and type the same command again",
                )
            return found
        raise NoAnswer(self.line.path)

    def ask(self, do: str, **more: object) -> Answer:
        """Say a line, and return what is answered. Raises Refused with the device's own words, or a Stop."""
        told: Answer = {"error": "no answer"}
        for left in reversed(range(_TRIES)):
            if self.settle is not None:
                self.settle()
            who = self.identify()
            said = json.dumps({"do": do, **more}).encode()
            self.line.say(said if self.signature is None else self.signature(who.nonce, said) + said)
            try:
                told = self.line.answer(ANSWER_S)
            except NoAnswer:
                if not left:
                    raise
                continue
            if "error" not in told:
                return told
            if not str(told["error"]).startswith(_GARBLED):
                break
        raise Refused(str(told["error"]))

    def knows(self, sign: Signature) -> bool:
        """Whether the device knows the key of a signature.

        What is signed is no object: so a locked device that does not know it does not tell of a forgery.
        """
        for _ in range(_TRIES):
            who = self.identify()
            self.line.say(sign(who.nonce, PROBE) + PROBE)
            with suppress(NoAnswer):
                if str(self.line.answer(ANSWER_S).get("error", "")).startswith(_UNDERSTOOD):
                    return True
        return False

    def put(self, files: Mapping[str, bytes]) -> None:
        """Put files, and have them become the device's, all or none. It resets then, if it takes them."""
        for name, content in files.items():
            at, begun = 0, 0
            while at < len(content):
                piece = content[at : at + PIECE_BYTES]
                try:
                    self.ask("put", name=name, at=at, hex=piece.hex())
                    at += len(piece)
                except Refused:
                    # an answer was lost on the way, and the device is further than we: from the beginning
                    begun += 1
                    if begun == _TRIES or at == 0:
                        raise
                    at = 0
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        self.ask("provision", sha256=digests)


def signature(key: bytes, nonce: str, said: bytes) -> bytes:
    """What goes before a line under a key and a nonce just given, in hexadecimal."""
    return hmac.digest(key, _PURPOSE + bytes.fromhex(nonce) + said, hashlib.sha256).hex().encode()


def named(found: Identity) -> str:
    """How a device is spoken of."""
    return found.device or f"a new {found.kind.replace('_', ' ')} without an identity"


def _identity(told: Answer) -> Identity | None:
    try:
        bytes.fromhex(told["nonce"])
        return Identity(
            told["device"],
            str(told["kind"]),
            str(told["version"]),
            told["epoch"],
            told["boots"],
            int(told["held"]),
            bool(told["locked"]),
            told["nonce"],
        )
    except (KeyError, TypeError, ValueError):
        return None
