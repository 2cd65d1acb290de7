"""The console without hardware: who is obeyed, what is told, and that nothing typed can harm."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from pathlib import Path
from typing import Any

import kept
import pytest
from config import load
from console import MOST_BYTES, Console, Lines
from fitting import Fitting
from folder import Folder
from hypothesis import given, settings
from hypothesis import strategies as st
from journal import Journal
from records import STATUS, TAMPER

KEY = bytes(range(32))
CONFIG = {"device": "gps00001", "host": "h", "port": 8883, "server_name": "n", "key": KEY.hex()}


class Fitted:
    """A device's flash in a folder, and its console."""

    def __init__(self, root: Path, *, fitted: bool = True, seed: int = 1) -> None:
        self.root = root
        self.random = random.Random(seed).randbytes
        if fitted:
            (root / "config.json").write_text(json.dumps(CONFIG))
            for name in ("ca.der", "cert.der", "key.der"):
                (root / name).write_bytes(name.encode())
        self.boot()

    def boot(self) -> None:
        self.fitting = Fitting(str(self.root))
        self.fitting.finish()
        there = (self.root / "config.json").exists()
        self.settings = load(str(self.root / "config.json")) if there else None
        self.folder = Folder(str(self.root / "kept"))
        self.journal: Any = Journal(str(self.root / "journal"), 1 << 16, self.random) if there else None
        self.console = Console("gps_tag", self.random, self.folder, self.fitting, self.settings, self.journal)

    def say(self, do: str, **more: object) -> dict[str, Any]:
        return self.line(json.dumps({"do": do, **more}).encode())

    def line(self, line: bytes | None) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.console.answer(line))
        return answer

    def signed(self, do: str, key: bytes = KEY, **more: object) -> bytes:
        """A line signed under a nonce that is asked for."""
        said = json.dumps({"do": do, **more}).encode()
        nonce = bytes.fromhex(self.say("identify")["nonce"])
        return hmac.digest(key, b"console" + nonce + said, hashlib.sha256).hex().encode() + said

    def put(self, name: str, content: bytes, piece: int = 300) -> str:
        """Send a file in pieces; its digest."""
        for at in range(0, len(content), piece):
            told = self.say("put", name=name, at=at, hex=content[at : at + piece].hex())
            assert told["size"] == at + len(content[at : at + piece]), told
        return hashlib.sha256(content).hexdigest()


@pytest.fixture
def device(tmp_path: Path) -> Fitted:
    return Fitted(tmp_path)


def test_it_says_what_it_is_with_a_fresh_nonce_each_time(device: Fitted) -> None:
    told = device.say("identify")
    nonce = told.pop("nonce")
    assert told == {
        "ok": True,
        "device": "gps00001",
        "kind": "gps_tag",
        "version": "0.1",
        "epoch": device.journal.epoch,
        "boots": 1,
        "held": 0,
        "locked": False,
    }
    assert len(bytes.fromhex(nonce)) == 16
    assert device.say("identify")["nonce"] != nonce


def test_locked_it_obeys_only_what_is_signed_under_the_nonce_just_given(device: Fitted) -> None:
    assert device.say("lock") == {"ok": True}
    device.boot()
    assert device.say("identify")["locked"] is True
    for do in (*device.console.handlers, "nothing"):
        assert device.say(do) == {"error": "locked: sign the line"}
    line = device.signed("counters")
    assert "counters" in device.line(line)
    assert "error" in device.line(line), "said again, under a nonce that was used"
    device.say("identify")
    assert "error" in device.line(line), "recorded, and said under another nonce"
    assert "error" in device.line(device.signed("counters", key=bytes(32)))
    right = device.signed("counters")
    assert "error" in device.line(right[:64] + b'{"do":"read"}'), "another line under the same MAC"
    wrong = device.signed("counters")
    assert "error" in device.line(b"0" * 64 + wrong[64:])
    assert "error" in device.line(wrong), "a nonce is good for one try"
    assert device.line(device.signed("unlock")) == {"ok": True}
    assert "counters" in device.say("counters")


def test_only_a_wrong_signature_that_comes_to_a_locked_device_is_told_of(device: Fitted) -> None:
    told: list[bool] = []
    device.console.forged = lambda: told.append(True)
    assert "error" in device.line(device.signed("counters", key=bytes(32)))
    device.say("lock")
    for noise in (
        b"",
        b"0" * 64,
        b"0" * 63 + b'{"do":"read"}',
        b"x" * 64 + b'{"do":"read"}',
        b'{"do":"read"}',
    ):
        assert "error" in device.line(noise)
    assert told == []
    line = device.signed("counters")
    assert "counters" in device.line(line)
    assert told == []
    assert "error" in device.line(line)
    assert "error" in device.line(device.signed("counters", key=bytes(32)))
    assert len(told) == 2


def test_a_lock_that_can_not_be_read_holds(device: Fitted, tmp_path: Path) -> None:
    device.say("lock")
    (tmp_path / "kept" / "locked").write_bytes(b"?")
    device.boot()
    assert "error" in device.say("counters")


def test_what_is_read_back_never_holds_a_key(device: Fitted, tmp_path: Path) -> None:
    beacon_key = "ab" * 32
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"tags": [[7, beacon_key]], "upload_s": 30}))
    device.boot()
    told = device.say("read")
    assert told["settings"] == {name: CONFIG[name] for name in CONFIG if name != "key"} | {
        "tags": [7],
        "upload_s": 30,
    }
    assert told["sha256"]["ca.der"] == hashlib.sha256(b"ca.der").hexdigest()
    assert told["sha256"]["key.der"] == "held"
    everything = json.dumps([told, device.say("identify"), device.say("counters")])
    assert KEY.hex() not in everything
    assert beacon_key not in everything
    assert hashlib.sha256(b"key.der").hexdigest() not in everything


def test_it_is_provisioned_in_pieces_and_wholly(tmp_path: Path) -> None:
    device = Fitted(tmp_path, fitted=False)
    assert device.say("identify")["device"] is None
    assert "error" in device.say("read")
    assert "error" in device.say("lock"), "nobody could unlock it"
    contents = {name: random.Random(name).randbytes(700) for name in ("ca.der", "cert.der", "key.der")}
    contents["config.json"] = json.dumps(CONFIG).encode()
    digests = {name: device.put(name, content) for name, content in contents.items()}
    assert "error" in device.say("provision", sha256=digests | {"ca.der": "0" * 64})
    assert "error" in device.say("provision", sha256={"ca.der": digests["ca.der"]}), "without settings"
    assert not device.console.leave
    assert device.say("provision", sha256=digests) == {"ok": True}
    assert device.console.leave
    assert not (tmp_path / "config.json").exists(), "nothing changes under what runs"
    device.boot()
    assert {name: (tmp_path / name).read_bytes() for name in contents} == contents
    assert device.say("identify")["device"] == "gps00001"
    assert list((tmp_path / "fitting").iterdir()) == []


def test_settings_that_the_firmware_could_not_live_with_are_refused_with_the_reason(device: Fitted) -> None:
    for wrong, why in (({"sample_s": 0}, "'sample_s' is 0"), ({"key": "short"}, "'key' is not 32 bytes")):
        digest = device.put("config.json", json.dumps(CONFIG | wrong).encode())
        assert why in device.say("provision", sha256={"config.json": digest})["error"]
    digest = device.put("config.json", b"no json")
    assert "is not JSON" in device.say("provision", sha256={"config.json": digest})["error"]

    def refuses(path: str) -> None:
        raise ValueError("a home unit asks more")

    device.console.check = refuses
    digest = device.put("config.json", json.dumps(CONFIG).encode())
    assert "asks more" in device.say("provision", sha256={"config.json": digest})["error"]
    assert not device.console.leave


@pytest.mark.parametrize(
    "put",
    [
        {"name": "main.py", "at": 0, "hex": ""},
        {"name": "../config.json", "at": 0, "hex": ""},
        {"name": "ca.der", "at": 3, "hex": "00"},
        {"name": "ca.der", "at": True, "hex": "00"},
        {"name": "ca.der", "at": -1, "hex": "00"},
        {"name": "ca.der", "at": 0, "hex": "0"},
        {"name": "ca.der", "at": 0, "hex": 7},
        {"name": 5, "at": 0, "hex": ""},
        {"name": "ca.der"},
    ],
)
def test_what_is_no_piece_of_a_file_is_refused(device: Fitted, put: dict[str, object]) -> None:
    assert set(device.say("put", **put)) == {"error"}


def test_no_file_grows_beyond_its_bound(device: Fitted) -> None:
    for at in range(0, 4096, 256):
        device.say("put", name="ca.der", at=at, hex="00" * 256)
    assert "more than 4096" in device.say("put", name="ca.der", at=4096, hex="00")["error"]


def hold(device: Fitted) -> None:
    device.journal.append(STATUS, 5, bytes(9))
    device.journal.append(TAMPER, 6, bytes(4), True)


def test_another_identity_is_refused_while_readings_of_the_old_one_are_held(device: Fitted) -> None:
    hold(device)
    digest = device.put("config.json", json.dumps(CONFIG | {"device": "gps00002"}).encode())
    assert "2 readings of gps00001" in device.say("provision", sha256={"config.json": digest})["error"]
    digest = device.put("config.json", json.dumps(CONFIG | {"upload_s": 5}).encode())
    assert device.say("provision", sha256={"config.json": digest}) == {"ok": True}


def test_a_key_in_the_place_of_its_own_is_taken_although_readings_are_held_and_a_foreign_one_is_not(
    device: Fitted,
) -> None:
    hold(device)
    new = bytes(32).hex()
    for before in (None, new, bytes(range(1, 33)).hex()):
        more = {} if before is None else {"key_before": before}
        digest = device.put("config.json", json.dumps(CONFIG | {"key": new} | more).encode())
        refused = device.say("provision", sha256={"config.json": digest})
        assert "2 readings of gps00001" in refused["error"]
    digest = device.put("config.json", json.dumps(CONFIG | {"key": new, "key_before": KEY.hex()}).encode())
    assert device.say("provision", sha256={"config.json": digest}) == {"ok": True}
    device.boot()
    assert device.settings is not None
    assert (device.settings.key, device.settings.key_before) == (bytes(32), KEY)
    assert KEY.hex() not in json.dumps(device.say("read"))
    assert new not in json.dumps(device.say("read"))


def test_it_is_not_emptied_while_readings_are_held_unless_forced_with_the_key(device: Fitted) -> None:
    hold(device)
    epoch = device.journal.epoch
    assert "2 readings are held" in device.say("reset")["error"]
    assert "2 readings are held" in device.say("reset", force=True)["error"]
    assert "2 readings are held" in device.line(device.signed("reset"))["error"]
    assert device.line(device.signed("reset", force=True)) == {"ok": True}
    assert device.journal.epoch == epoch
    device.boot()
    assert device.journal.epoch != epoch
    assert device.say("identify")["held"] == 0


def test_emptied_it_keeps_its_identity_and_what_counts_the_gateways_commands(
    device: Fitted, tmp_path: Path
) -> None:
    for name in ("settings", "command", "crashes", "duty"):
        kept.write(device.folder, name, b"1")
    device.say("lock")
    assert device.line(device.signed("reset")) == {"ok": True}
    device.boot()
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"command", "crashes"}
    assert device.say("identify")["device"] == "gps00001"
    assert device.say("identify")["locked"] is False


def test_emptied_with_its_identity_it_is_as_new(device: Fitted, tmp_path: Path) -> None:
    kept.write(device.folder, "command", b"1")
    assert device.say("reset", identity=True) == {"ok": True}
    device.boot()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert device.say("identify")["device"] is None


def test_what_a_device_can_tell_of_itself_comes_as_a_verdict_for_each_part(device: Fitted) -> None:
    def mute() -> bool:
        raise OSError(19)

    device.console.tests.update({"strap": lambda: True, "case": lambda: "open", "motion": mute})
    told = device.say("self_test")
    assert told["tests"] == {"flash": True, "strap": True, "case": "open", "motion": "no answer: 19"}
    assert not (device.root / "kept" / "test").exists()


def test_a_line_that_is_too_long_is_one_error_and_the_next_is_answered() -> None:
    lines = Lines()
    heard = lines.feed(b"x" * (MOST_BYTES + 1) + b"\n" + b"y" * MOST_BYTES + b"\r\n\n  \n")
    assert heard == [None, None], "with the carriage return the second has one byte too many"
    assert lines.feed(b"z" * MOST_BYTES + b"\n") == [b"z" * MOST_BYTES]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.binary(max_size=200) | st.just(b"\n") | st.just(b"x" * 700), max_size=30), st.integers(1, 64)
)
def test_lines_are_the_same_however_they_are_cut_and_no_more_than_one_is_held(
    parts: list[bytes], size: int
) -> None:
    data = b"".join(parts)
    lines, whole = Lines(), Lines().feed(data)
    cut = []
    for at in range(0, len(data), size):
        cut += lines.feed(data[at : at + size])
        assert len(lines._held) <= MOST_BYTES
    assert cut == whole


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("identify"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
verbs = st.sampled_from(
    ["identify", "self_test", "counters", "read", "put", "provision", "lock", "unlock", "reset", "check"]
)


@pytest.fixture(scope="module")
def typed_at(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    return Fitted(tmp_path_factory.mktemp("typed"))


@settings(max_examples=500, deadline=None)
@given(
    st.binary(max_size=300)
    | st.builds(lambda depth: b'{"do":' + b"[" * depth, st.integers(0, 1000))
    | json_like.map(lambda value: json.dumps(value).encode())
    | st.builds(
        lambda do, more: json.dumps({**more, "do": do}).encode(),
        verbs | st.text(max_size=5),
        st.dictionaries(
            st.sampled_from(["name", "at", "hex", "sha256", "force", "identity"]), json_like, max_size=4
        ),
    )
)
def test_whatever_is_typed_is_answered_by_one_line_and_never_raises(typed_at: Fitted, line: bytes) -> None:
    answer = typed_at.console.answer(line)
    assert b"\n" not in answer
    told = json.loads(answer)
    assert told.get("ok") is True or set(told) == {"error"}
    assert KEY.hex().encode() not in answer
