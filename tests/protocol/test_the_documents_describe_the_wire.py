"""``envelope.cddl`` and ``asyncapi.yaml`` say what the code does, checked by a CDDL validator that is not ours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pycddl
import pytest
import yaml
from commands import NAMES
from hypothesis import given
from hypothesis import strategies as st

from core import wire
from core.readings import WIRE, Kind, TamperCode

DOCS = Path(__file__).resolve().parents[2] / "docs"


def schema(rule: str) -> Any:
    return pycddl.Schema(f"root = {rule}\n" + (DOCS / "envelope.cddl").read_text("utf-8"))


PROSE = (DOCS / "protocol.md").read_text("utf-8")
UP, DOWN = schema("up"), schema("down")
numbers = st.integers(1, 2**32 - 1)


@st.composite
def blocks(draw: st.DrawFn) -> tuple[wire.Block, ...]:
    made: list[wire.Block] = []
    first = draw(st.integers(1, 1000))
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(sorted(WIRE)))
        count = draw(st.integers(1, 12))
        records = np.zeros(count, WIRE[kind])
        records["flags"] = draw(st.integers(0, 3))
        records["dt"] = draw(st.integers(0, 65535))
        made.append(wire.make_block(kind, first, draw(st.integers(0, 2**33)), records))
        first += count + draw(st.integers(0, 3))
    return tuple(made)


@given(numbers, blocks(), st.integers(0, 5))
def test_every_up_that_is_written_is_of_the_cddl_and_reads_back_the_same(
    epoch: int, made: tuple[wire.Block, ...], held: int
) -> None:
    base = max(1, made[0].first - held) if made else 1 + held
    payload = wire.encode_up(wire.Up(epoch, base, made))
    UP.validate_cbor(payload)
    again = wire.decode_up(payload)
    assert (again.epoch, again.base) == (epoch, base)
    assert [(b.kind, b.first, b.count, b.base_time_s, b.raw) for b in again.blocks] == [
        (b.kind, b.first, b.count, b.base_time_s, b.raw) for b in made
    ]


@st.composite
def commands(draw: st.DrawFn) -> wire.Command:
    uint32 = st.integers(0, 2**32 - 1)
    name, arguments = draw(
        st.one_of(
            st.tuples(
                st.just("settings"), st.fixed_dictionaries({}, optional=SETTINGS).map(lambda map_: [map_])
            ),
            st.tuples(st.just("pursuit"), st.integers(0, 1440).map(lambda minutes: [minutes])),
            st.tuples(st.sampled_from(["locate", "baseline"]), st.just([])),
            st.tuples(st.just("vibrate"), st.lists(st.integers(0, 9), min_size=2, max_size=2)),
            st.tuples(
                st.just("hear"), st.tuples(uint32, uint32, st.binary(min_size=32, max_size=32)).map(list)
            ),
            st.tuples(st.just("unhear"), uint32.map(lambda beacon: [beacon])),
            st.tuples(st.just("time"), st.tuples(st.integers(0, 2**40), uint32).map(list)),
            st.tuples(st.text("abc", max_size=5), st.lists(uint32, max_size=3)),
        )
    )
    return wire.Command(draw(numbers), name, arguments)


SETTINGS = {
    1: st.none() | st.integers(1, 3600),
    2: st.none() | st.integers(1, 3600),
    3: st.none() | st.integers(1, 60),
    4: st.none() | st.lists(st.integers(0, 2**32 - 1), max_size=4),
    5: st.none() | st.lists(st.integers(-(2**31), 2**31 - 1), max_size=6),
}


@given(
    st.integers(0, 2**32 - 1),
    st.none() | st.tuples(numbers, st.integers(0, 2**32 - 1)),
    st.none() | commands(),
)
def test_every_down_that_is_written_is_of_the_cddl_and_reads_back_the_same(
    generation: int, commit: tuple[int, int] | None, command: wire.Command | None
) -> None:
    payload = wire.encode_down(wire.Down(generation, commit, command))
    DOWN.validate_cbor(payload)
    assert wire.decode_down(payload) == wire.Down(generation, commit, command)


@given(numbers, numbers, st.integers(0, 2**32 - 1))
def test_a_hello_with_a_nonce_is_of_the_cddl_and_reads_back_the_same(
    epoch: int, base: int, nonce: int
) -> None:
    hello = wire.Up(epoch, base, (), nonce)
    payload = wire.encode_up(hello)
    UP.validate_cbor(payload)
    assert wire.decode_up(payload) == hello


def test_every_command_of_the_protocol_stands_in_all_its_documents() -> None:
    table = PROSE.split("### Commands")[1].split("\n\n")[1]
    names = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert names == list(NAMES)
    document = yaml.safe_load((DOCS / "asyncapi.yaml").read_text("utf-8"))
    examples = document["components"]["messages"]["command"]["examples"]
    assert [example["name"] for example in examples] == names
    for example in examples:
        payload = cbor2.dumps(example["payload"], canonical=True)
        DOWN.validate_cbor(payload)
        command = wire.decode_down(payload).command
        assert command is not None
        assert command.name == example["name"]


@pytest.mark.parametrize(
    "document",
    [
        {1: 2, 2: 5, 4: []},
        {1: 1, 2: 0, 3: 1, 4: []},
        {1: 1, 2: 5},
        {1: 1, 2: 5, 4: [[1, 0, 1, b"x" * 17]]},
        {1: 1, 2: 5, 4: [[1, 1, 1, "text"]]},
        {1: 1, 2: 5, 4: [[99, 1, 1, b"xyz"]]},
        {1: 1, 2: 5, 4: [], 9: 1},
        {1: 1, 2: 5, 3: 1, 4: [], 5: 2**32},
        {1: 1, 2: 5, 3: 1, 4: [], 5: -1},
    ],
)
def test_what_the_cddl_refuses_the_gateway_refuses_too(document: dict[int, object]) -> None:
    payload = cbor2.dumps(document, canonical=True)
    with pytest.raises(pycddl.ValidationError):
        UP.validate_cbor(payload)
    with pytest.raises(wire.WireError):
        wire.decode_up(payload)


def test_every_layout_of_the_prose_is_the_layout_of_the_code() -> None:
    rows = re.findall(r"^\| (\d+) \| ([a-z ]+) \| (.+) \| (\d+) \|$", PROSE, re.MULTILINE)
    assert [int(kind) for kind, *_ in rows] == list(Kind)
    for kind, _, layout, width in rows:
        fields = [("dt", "u16"), *re.findall(r"(\w+)(?: rejected since boot| version)? `([ui]\d+)`", layout)]
        dtype = WIRE[int(kind)]
        assert dtype.fields is not None
        coded = [f"{dtype[name].kind}{dtype[name].itemsize * 8}" for name in dtype.names or ()]
        assert [what for _, what in fields] == coded, kind
        assert int(width) == dtype.itemsize


def test_the_cddl_gives_every_kind_its_number_and_width() -> None:
    text = (DOCS / "envelope.cddl").read_text("utf-8")
    rows = re.findall(r"(\d+) ([a-z_]+) (\d+)", text.split("bytes a record:")[1].split("known")[0])
    assert {name.upper(): (int(kind), int(width)) for kind, name, width in rows} == {
        kind.name: (kind, WIRE[kind].itemsize) for kind in Kind
    }


def test_the_prose_lists_the_tamper_codes_of_the_code() -> None:
    table = PROSE.split("**Tamper codes**")[1].split("\n\n")[1]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == list(TamperCode)


def test_a_known_kind_with_a_width_is_refused() -> None:
    with pytest.raises(wire.WireError, match="its layout is fixed"):
        wire.decode_up(cbor2.dumps({1: 1, 2: 5, 4: [[2, 1, 1, bytes(19), 19]]}, canonical=True))


@given(st.binary(max_size=400))
def test_noise_is_a_wire_error_and_nothing_else(noise: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode_up(noise)


@pytest.mark.parametrize("version", [True, 1.0])
def test_what_equals_the_version_and_is_other_bytes_is_refused(version: object) -> None:
    document = {1: version, 2: 7, 3: 1, 4: []}
    with pytest.raises(wire.WireError, match="version"):
        wire.decode_up(cbor2.dumps(document, canonical=True))


@given(blocks().filter(bool), st.data())
def test_a_payload_cut_or_changed_anywhere_reads_as_something_valid_or_is_refused(
    made: tuple[wire.Block, ...], data: st.DataObject
) -> None:
    payload = bytearray(wire.encode_up(wire.Up(7, made[0].first, made)))
    at = data.draw(st.integers(0, len(payload) - 1))
    payload[at] ^= data.draw(st.integers(1, 255))
    try:
        up = wire.decode_up(bytes(payload))
    except wire.WireError:
        return
    assert wire.encode_up(up) == bytes(payload)


@given(blocks().filter(bool))
def test_numbers_of_blocks_that_were_understood_are_told_with_the_error(made: tuple[wire.Block, ...]) -> None:
    last = made[-1].last + 1
    document = cbor2.loads(wire.encode_up(wire.Up(7, made[0].first, made)))
    document[4].append([200, last, 0, b"abcdef"])  # a kind of the future, without the width it must have
    with pytest.raises(wire.WireError) as caught:
        wire.decode_up(cbor2.dumps(document, canonical=True))
    assert caught.value.numbers == tuple((7, block.first, block.count) for block in made)


def test_the_asyncapi_document_names_the_topics_and_qualities_of_the_protocol() -> None:
    document = yaml.safe_load((DOCS / "asyncapi.yaml").read_text("utf-8"))
    assert document["asyncapi"].startswith("3.")
    addresses = {name: channel["address"] for name, channel in document["channels"].items()}
    assert addresses == {name: f"em/v1/{{partition}}/{{device}}/{name}" for name in ("up", "down", "state")}
    qualities = {
        operation["channel"]["$ref"].rsplit("/", 1)[1]: operation["bindings"]["mqtt"]["qos"]
        for operation in document["operations"].values()
    }
    assert qualities == {"up": 1, "down": 0, "state": 0}

    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [ref for value in node.values() for ref in references(value)]
        return [ref for value in node for ref in references(value)] if isinstance(node, list) else []

    for reference in references(document):
        if reference.startswith("#/"):
            node: Any = document
            for step in reference[2:].split("/"):
                node = node[step]
        else:
            assert (DOCS / reference).is_file()


def test_every_record_begins_with_its_time_and_ends_with_its_flags() -> None:
    for layout in WIRE.values():
        assert layout.names is not None
        assert layout.fields is not None
        assert (layout.names[0], layout.fields["dt"][1], layout.fields["dt"][0].str) == ("dt", 0, "<u2")
        assert (layout.names[-1], layout.fields["flags"][1]) == ("flags", layout.itemsize - 1)


@given(blocks())
def test_the_span_of_a_blocks_times_is_that_of_its_readings(made: tuple[wire.Block, ...]) -> None:
    for block in made:
        if block.records is not None:
            assert block.within_ms() == (int(block.t_ms().min()), int(block.t_ms().max()))


whole = st.one_of(numbers, st.sampled_from([0, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1]))


@given(whole, whole.filter(bool), whole)
def test_a_commit_is_written_as_a_cbor_library_would(generation: int, epoch: int, upto: int) -> None:
    said = wire.encode_down(wire.Down(generation, (epoch, upto)))
    assert said == cbor2.dumps({1: 1, 2: generation, 3: [epoch, upto]}, canonical=True)
