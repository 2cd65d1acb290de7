"""A tag's MAC key is changed with everything real: gateway, broker, firmware; power cut on either side."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from gateway import rotation
from gateway.check import check
from gateway.seal import DEVICE_KEY
from gateway.store import device_keys, devices
from sim.bench.tag import VirtualTag
from sim.rig import Rig
from tests.system.test_commands import MINUTE_MS, Post


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("rekeyed"), patience_s=1.0) as rig:
        yield rig


@pytest.fixture(scope="module")
def post(rig: Rig) -> Post:
    return Post(rig, "gps00001")


def rekey(post: Post) -> int:
    return rotation.prepare(
        post.rig.store,
        post.rig.authority,
        post.device,
        settings=post.rig.settings,
        over_air=True,
        now_ms=post.rig.now_ms,
    ).number


def adopted(post: Post, number: int) -> bool:
    with post.rig.store.read() as connection:
        return any(
            row.use == "retired" and row.number == number - 1
            for row in device_keys.of_device(connection, post.device)
        )


def provision(tag: VirtualTag, files: dict[str, bytes]) -> None:
    """Put files at the tag's console, and make them its own."""
    for name, content in files.items():
        for at in range(0, len(content), 300):
            piece = content[at : at + 300].hex()
            told = tag.console(json.dumps({"do": "put", "name": name, "at": at, "hex": piece}))
            assert "error" not in told, told
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    assert tag.console(json.dumps({"do": "provision", "sha256": digests})) == {"ok": True}


def whole(post: Post) -> None:
    """Nothing is lost, refused or told as forged; all that is stored verifies."""
    numbers = sorted(int(number) for number in post.rig.positions(post.device).seq)
    assert len(numbers) == len(set(numbers))
    status = post.rig.gateway.status()
    assert status["forgotten"] == status["conflicts"] == 0
    assert status["quarantined_by_reason"].get("bad_mac", 0) == 0
    assert post.tag.counters().get("down_forged", 0) == 0
    assert check(post.rig.store, post.rig.authority.vault).faults == []


def test_a_tag_changes_its_key_by_air_and_goes_on(post: Post) -> None:
    before = len(post.rig.positions(post.device))
    number = rekey(post)
    post.until(lambda: adopted(post, number))
    post.live(3)
    assert len(post.rig.positions(post.device)) > before
    whole(post)
    with post.rig.store.read() as connection:
        entry = devices.one(connection, post.device)
    assert entry is not None
    post.rig.authority.vault.reload()
    key = post.rig.authority.vault.open_sealed(DEVICE_KEY, post.device, entry.key)
    assert key != post.credentials.key
    assert post.rig.gateway.status()["quarantined"] == 0


def test_the_new_key_holds_over_a_power_cut_of_the_tag(post: Post) -> None:
    before = len(post.rig.positions(post.device))
    post.tag.kill()
    post.tag.start()
    post.live(4)
    assert len(post.rig.positions(post.device)) > before
    whole(post)


def test_a_key_is_changed_at_the_console_while_readings_are_held(post: Post) -> None:
    made = rotation.prepare(
        post.rig.store,
        post.rig.authority,
        post.device,
        settings=post.rig.settings,
        over_air=False,
        now_ms=post.rig.now_ms,
    )
    assert made.folder is not None
    before = len(post.rig.positions(post.device))
    post.rig.gateway.stop()
    post.minutes += 2
    post.rig.advance(post.start_ms + post.minutes * MINUTE_MS, post.device, judge=False)
    held = post.tag.console(json.dumps({"do": "identify"}))["held"]
    assert held > 0
    config = json.loads((made.folder / "config.json").read_text()) | {"upload_s": 30}
    provision(post.tag, {"config.json": json.dumps(config).encode()})
    post.rig.gateway.start()
    post.until(lambda: adopted(post, made.number))
    post.live(3)
    assert len(post.rig.positions(post.device)) > before
    whole(post)


def cut(post: Post, dice: random.Random) -> str:
    """Cut power at a random moment of a minute in which the tag may be given its key; returns whose."""
    # the gateway's power less often: it needs longest to be there again
    (victim,) = dice.choices(("tag", "ingest", "gateway"), (14, 4, 2))
    after_s = dice.uniform(0, 0.4)
    rig, tag = post.rig, post.tag
    if victim == "tag":
        until_ms = post.start_ms + (post.minutes + 1) * MINUTE_MS
        tag.begin_run(until_ms)
        time.sleep(after_s)
        tag.kill()
        tag.start()
    elif victim == "ingest":
        killer = threading.Timer(after_s, rig.gateway.kill_part, ["ingest"])
        killer.start()
        post.live(1)
        killer.join()
    else:
        tag.begin_run(post.start_ms + (post.minutes + 1) * MINUTE_MS)
        time.sleep(after_s)
        rig.gateway.kill()
        tag.finish_run()
        rig.gateway.start()
    return victim


@pytest.mark.parametrize(
    ("rounds", "seed"),
    [
        pytest.param(12, 20261122, id="12-of-seed-20261122", marks=[pytest.mark.timeout(900)]),
        pytest.param(200, 7, id="200-of-seed-7", marks=[pytest.mark.long, pytest.mark.timeout(7200)]),
    ],
)
def test_a_tag_changes_again_and_again_whoevers_power_is_cut_at_whatever_moment(
    post: Post, rounds: int, seed: int
) -> None:
    dice = random.Random(seed)
    cut_at = Counter[str]()
    for _ in range(rounds):
        number = rekey(post)
        held = len(post.rig.positions(post.device))
        cut_at[cut(post, dice)] += 1
        post.until(lambda number=number: adopted(post, number))  # type: ignore[misc]
        post.until(lambda held=held: len(post.rig.positions(post.device)) > held)  # type: ignore[misc]
        whole(post)
    assert len(cut_at) == 3
