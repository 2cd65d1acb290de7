"""The device's key on its flash: changed by the gateway, by a tool, and whatever power or wear does."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import kept
import pytest
from commands import DONE, NOT_UNDERSTOOD
from config import Config, load
from conversation import COMMITTED, FORGED, KNOWN, OLD_KEY, Conversation, topic
from device_key import FILES, DeviceKey
from envelope import seal
from folder import Folder
from hypothesis import given
from hypothesis import strategies as st
from journal import Journal

from core import envelope, wire

KEYS = [bytes([n]) * 32 for n in range(5)]
CONFIG = {"device": "gps00001", "host": "h", "port": 8883, "server_name": "n"}


def masked(key: bytes, new: bytes, salt: bytes = bytes(16)) -> list[object]:
    """What a command `rekey` says, as docs/protocol.md has it."""
    pad = hmac.digest(key, b"rekey" + salt, hashlib.sha256)
    return [salt + bytes(a ^ b for a, b in zip(pad, new, strict=True))]


def provision(root: Path, key: bytes, before: bytes = b"") -> Config:
    more = {"key_before": before.hex()} if before else {}
    (root / "config.json").write_text(json.dumps(CONFIG | {"key": key.hex()} | more))
    return load(str(root / "config.json"))


def boot(root: Path) -> DeviceKey:
    return DeviceKey(load(str(root / "config.json")), Folder(str(root / "kept")))


def test_a_key_that_was_given_outlasts_boots_until_another_is_provisioned(tmp_path: Path) -> None:
    provision(tmp_path, KEYS[0])
    told: list[tuple[bytes, bytes]] = []
    key = boot(tmp_path)
    key.told.append(lambda now, before: told.append((now, before)))
    assert (key.now, key.before) == (KEYS[0], b"")
    assert key.rekey(masked(KEYS[0], KEYS[1])) == DONE
    assert key.rekey(masked(KEYS[1], KEYS[1])) == DONE, "the same again changes nothing"
    assert told == [(KEYS[1], KEYS[0])]
    assert (boot(tmp_path).now, boot(tmp_path).before) == (KEYS[1], KEYS[0])
    provision(tmp_path, KEYS[0])
    assert boot(tmp_path).now == KEYS[1], "what it was fitted with, once more"
    settings = provision(tmp_path, KEYS[2], KEYS[1])
    key = DeviceKey(settings, Folder(str(tmp_path / "kept")))
    assert (key.now, key.before, settings.key) == (KEYS[2], KEYS[1], KEYS[2])


@pytest.mark.parametrize("arguments", [[b""], [bytes(47)], ["x" * 48], [bytes(49)], [None]])
def test_what_is_no_key_changes_nothing(tmp_path: Path, arguments: list[object]) -> None:
    provision(tmp_path, KEYS[0])
    key = boot(tmp_path)
    assert key.rekey(arguments) == NOT_UNDERSTOOD
    assert boot(tmp_path).now == key.now == KEYS[0]


@given(worn=st.sampled_from(FILES), how=st.sampled_from(["flipped", "gone", "empty"]))
def test_one_worn_file_does_not_lose_the_key_and_is_put_right(
    tmp_path_factory: pytest.TempPathFactory, worn: str, how: str
) -> None:
    root = tmp_path_factory.mktemp("worn")
    provision(root, KEYS[0])
    assert boot(root).rekey(masked(KEYS[0], KEYS[1])) == DONE
    path = root / "kept" / worn
    good = path.read_bytes()
    match how:
        case "flipped":
            path.write_bytes(bytes([good[0] ^ 1]) + good[1:])
        case "gone":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
    assert boot(root).now == KEYS[1]
    assert path.read_bytes() == good


class Failing(Folder):  # type: ignore[misc]
    """A folder whose flash refuses after so many writes, as where power is cut."""

    def __init__(self, root: str, left: int) -> None:
        super().__init__(root)
        self.left = left

    def replace(self, name: str, data: bytes) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(5, "EIO")
        super().replace(name, data)


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_wherever_power_is_cut_it_has_the_old_key_or_the_new_one(tmp_path: Path, writes: int) -> None:
    provision(tmp_path, KEYS[0])
    assert boot(tmp_path).rekey(masked(KEYS[0], KEYS[1])) == DONE
    key = DeviceKey(load(str(tmp_path / "config.json")), Failing(str(tmp_path / "kept"), writes))
    if writes == 0:
        with pytest.raises(OSError, match="EIO"):
            key.rekey(masked(KEYS[1], KEYS[2]))
        assert key.now == boot(tmp_path).now == KEYS[1]
    else:
        assert key.rekey(masked(KEYS[1], KEYS[2])) == DONE
        assert key.now == boot(tmp_path).now == KEYS[2]
        again = boot(tmp_path)
        assert again.rekey(masked(KEYS[2], KEYS[3])) == DONE
        assert boot(tmp_path).before == KEYS[2]
    assert kept.read(Folder(str(tmp_path / "kept")), FILES[0]) is not None


def test_what_is_said_under_the_key_before_is_neither_obeyed_nor_taken_for_forged(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "journal"), 1 << 16, lambda n: bytes(n - 1) + b"\x05")
    tag = Conversation(journal, "gps00001", KEYS[0])
    down = wire.encode_down(wire.Down(1, (journal.epoch, 0), wire.Command(1, "locate", [])))

    def said(key: bytes) -> bytes:
        return bytes(seal(key, b"gps00001", topic("gps00001", "down").encode(), down))

    assert tag.hear(said(KEYS[0])) in (COMMITTED, KNOWN)
    tag.rekey(KEYS[1], KEYS[0])
    assert tag.hear(said(KEYS[0])) == OLD_KEY
    assert tag.command is None
    assert tag.hear(said(KEYS[2])) == FORGED
    assert tag.hear(said(KEYS[1])) in (COMMITTED, KNOWN)
    assert tag.command is not None
    sealed = bytes(tag.hello(0))
    assert envelope.authentic(envelope.parse(sealed), KEYS[1], tag.up)
