"""The console: a line protocol over a serial line, by which an officer's tool fits a device. See docs/console.md.

A line of JSON comes in, a line of JSON goes out. A locked device obeys only lines that bear an HMAC under its key over
a nonce that it has just given, so a line that was recorded is worth nothing.
"""

import asyncio
import json

import config
import envelope
import kept
from counters import COUNTERS, count
from equipment import VERSION

try:
    from typing import TYPE_CHECKING
except ImportError:
    TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from fitting import Fitting
    from folder import Folder
    from journal import Journal

    Wish = dict[str, object]
    Told = dict[str, object]

    class Line(Protocol):
        """A serial line that never blocks."""

        def read(self, nbytes: int) -> bytes | None:
            """What has come, at most so much; None when nothing has."""

        def write(self, data: bytes) -> int | None:
            """Send; how much was taken."""


MOST_BYTES = 1024  # of a line
CHUNK = 64
ANSWER_MS = 300  # so long an answer may take to leave, before a reset
_PURPOSE = b"console"  # what else is signed with the device's key begins otherwise
_MAC_DIGITS = 64
_NONCE_BYTES = 16
_LOCKED = "locked"
_EMPTY_LINE = b""


class Lines:
    """Cuts what comes into lines; holds at most one, of at most `MOST_BYTES`."""

    def __init__(self) -> None:
        self._held = _EMPTY_LINE
        self._over = False

    def feed(self, data: bytes) -> list[bytes | None]:
        """The lines that are now complete, without the empty ones; None for one that was too long."""
        lines: list[bytes | None] = []
        start = 0
        while True:
            end = data.find(b"\n", start)
            part = data[start:] if end < 0 else data[start:end]
            self._over = self._over or len(self._held) + len(part) > MOST_BYTES
            self._held = _EMPTY_LINE if self._over else self._held + part
            if end < 0:
                return lines
            line = self._held.strip()
            if self._over or line:
                lines.append(None if self._over else line)
            self._held, self._over = _EMPTY_LINE, False
            start = end + 1


class Console:
    """Answers lines; see :meth:`answer`. ``leave`` is set when the device is to be reset after the answer.

    ``handlers`` and ``tests`` are the device's own, by name, and may be added to: a handler gets the line's object and
    returns what is to be told; ValueError says why not. A test returns True, or what is wrong. ``check`` is
    asked before a new ``config.json`` is taken, beside :mod:`config`; ``key`` is None in a device without one.
    ``forged`` is called for each line with a wrong signature that comes to a locked device.
    """

    def __init__(
        self,
        kind: str,
        random: "Callable[[int], bytes]",
        folder: "Folder",
        fitting: "Fitting",
        settings: "config.Config | None",
        journal: "Journal | None" = None,
    ) -> None:
        self.leave = False
        self.check: "Callable[[str], object] | None" = None
        self.forged: "Callable[[], object] | None" = None
        self.tests: "dict[str, Callable[[], bool | str]]" = {"flash": self._flash}
        self.handlers: "dict[str, Callable[[Wish], Told]]" = {
            "self_test": self._self_test,
            "counters": lambda _wish: {"counters": COUNTERS},
            "read": self._read,
            "put": self._put,
            "provision": self._provision,
            "lock": self._lock,
            "unlock": self._unlock,
            "reset": self._reset,
        }
        self._kind = kind
        self._random = random
        self._folder = folder
        self._fitting = fitting
        self._settings = settings
        self._journal = journal
        self._nonce = b""
        self._signed = False
        try:
            self._locked = kept.read(folder, _LOCKED) is not None
        except ValueError:
            self._locked = True  # whoever could spoil the file must not gain by it

    def answer(self, line: bytes | None) -> bytes:
        """The answer to a line (None: one that was too long), without its end. Never raises."""
        try:
            told = self._told(line)
        except (ValueError, RuntimeError, TypeError, LookupError) as problem:
            count("console_errors")
            told = {"error": str(problem)}
        except OSError as problem:
            count("flash_errors")
            told = {"error": "flash refuses: %s" % problem}
        except MemoryError:
            count("memory_errors")
            told = {"error": "no memory"}
        return json.dumps(told).encode()

    def _told(self, line: bytes | None) -> "Told":
        if line is None:
            raise ValueError("a line of more than %d bytes" % MOST_BYTES)
        self._signed = line[:1] != b"{"
        if self._signed:
            line = self._authentic(line)
        try:
            wish = json.loads(line)
        except (ValueError, RuntimeError):  # RuntimeError: nested too deep
            wish = None
        if not isinstance(wish, dict) or not isinstance(wish.get("do"), str):
            raise ValueError('not a line of the console: {"do": …}')
        name = wish["do"]
        if name == "identify":
            return self._identify()
        if self._locked and not self._signed:
            count("console_refused")
            raise ValueError("locked: sign the line")
        handler = self.handlers.get(name)
        if handler is None:
            raise ValueError("not known to this device: " + name)
        told: Told = {"ok": True}
        told.update(handler(wish))
        return told

    def _authentic(self, line: bytes) -> bytes:
        """The line behind a right MAC. Each nonce is good for one try."""
        nonce, self._nonce = self._nonce, b""
        said = line[_MAC_DIGITS:]
        try:
            mac = bytes.fromhex(line[:_MAC_DIGITS].decode())
        except ValueError:
            mac = b""
        key = self._settings.key if self._settings is not None else b""
        if not nonce or not key or not envelope.same(mac, envelope.hmac(key, _PURPOSE + nonce + said)):
            count("console_refused")
            # what looks unlike a signature is noise on the contacts
            if self._locked and self.forged is not None and len(mac) == _MAC_DIGITS // 2 and said[:1] == b"{":
                self.forged()
            raise ValueError("neither an object nor signed under a fresh nonce")
        return said

    def _identify(self) -> "Told":
        self._nonce = self._random(_NONCE_BYTES)
        journal, settings = self._journal, self._settings
        return {
            "ok": True,
            "device": settings.device if settings is not None else None,
            "kind": self._kind,
            "version": "%d.%d" % (VERSION >> 8, VERSION & 255),
            "epoch": journal.epoch if journal is not None else None,
            "boots": journal.boots if journal is not None else None,
            "held": self._held(),
            "locked": self._locked,
            "nonce": self._nonce.hex(),
        }

    def _held(self) -> int:
        return self._journal.next - self._journal.base if self._journal is not None else 0

    def _self_test(self, _wish: "Wish") -> "Told":
        verdicts: Told = {}
        for name, test in self.tests.items():
            try:
                verdicts[name] = test()
            except (OSError, ValueError) as problem:
                verdicts[name] = "no answer: %s" % problem
        return {"tests": verdicts}

    def _flash(self) -> "bool | str":
        mark = self._random(8)
        kept.write(self._folder, "test", mark)
        same = kept.read(self._folder, "test") == mark
        self._folder.remove("test")
        return same or "it does not keep what is written"

    def _read(self, _wish: "Wish") -> "Told":
        if self._settings is None:
            raise ValueError("nothing is provisioned")
        with open(self._fitting.path_in_use("config.json")) as file:
            settings = json.load(file)
        settings.pop("key")
        settings.pop("key_before", None)
        # a home unit's tags: their numbers, not their keys
        if "tags" in settings:
            settings["tags"] = [entry[0] for entry in settings["tags"]]
        return {"settings": settings, "sha256": self._fitting.provisioned()}

    def _put(self, wish: "Wish") -> "Told":
        name, at, data = wish["name"], wish["at"], wish["hex"]
        if not isinstance(name, str) or type(at) is not int or not isinstance(data, str):
            raise ValueError("put needs name, at and hex")
        return {"size": self._fitting.put(name, at, bytes.fromhex(data))}

    def _provision(self, wish: "Wish") -> "Told":
        digests = wish["sha256"]
        if not isinstance(digests, dict) or not digests:
            raise ValueError("provision needs sha256: {file: digest}")
        for name, digest in digests.items():
            if not digest or self._fitting.staged(name) != digest:
                raise ValueError("%s is not what was to be put" % name)
        if "config.json" in digests:
            path = self._fitting.path("config.json")
            new = config.load(path)
            if self.check is not None:
                self.check(path)
            old = self._settings
            # what is held is signed when it is sent: under a key that takes the place of this device's own, too
            own = old is not None and (new.key in (old.key, old.provisioned_key) or new.key_before == old.key)
            if old is not None and (new.device != old.device or not own) and self._held():
                raise ValueError("%d readings of %s are held" % (self._held(), old.device))
        elif self._settings is None:
            raise ValueError("config.json is missing")
        self._fitting.provision(list(digests))
        self.leave = True
        return {}

    def _lock(self, _wish: "Wish") -> "Told":
        if self._settings is None:
            raise ValueError("without a key nobody could unlock it")
        kept.write(self._folder, _LOCKED, b"1")
        self._locked = True
        return {}

    def _unlock(self, _wish: "Wish") -> "Told":
        if self._locked:
            self._folder.remove(_LOCKED)
            self._locked = False
        return {}

    def _reset(self, wish: "Wish") -> "Told":
        if self._held() and not (wish.get("force") is True and self._signed):
            raise ValueError("%d readings are held: sign the line and force it to lose them" % self._held())
        self._fitting.empty(wish.get("identity") is True)
        self.leave = True
        return {}


async def serve(console: Console, line: "Line") -> None:
    """Answer what comes over a line; returns when the device is to be reset."""
    stream, answer = asyncio.StreamReader(line), asyncio.StreamWriter(line, {})
    lines = Lines()
    while not console.leave:
        data = await stream.read(CHUNK)
        if not data:
            await asyncio.sleep_ms(ANSWER_MS)
            continue
        for heard in lines.feed(data):
            answer.write(console.answer(heard) + b"\n")
            await answer.drain()
    await asyncio.sleep_ms(ANSWER_MS)
