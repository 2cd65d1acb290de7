"""Integers only: boards have single-precision floats, which can hold neither a position nor an instant."""

from __future__ import annotations

import ast
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import nmea
import pytest

from sim.recordings import load

FIRMWARE = Path(nmea.__file__).parent.parent
SOURCES = sorted(FIRMWARE.glob("*/*.py"))
# What turns bytes into fixes, and fixes into records, in the order in which they import each other.
INSTRUMENTED = ("records", "nmea_fields", "fix", "sky", "nmea", "signs", "policy", "channels", "rhythm")


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_no_float_stands_in_the_firmware_and_nothing_is_divided_into_one(source: Path) -> None:
    for node in ast.walk(ast.parse(source.read_text())):
        where = f"{source.name}:{getattr(node, 'lineno', 0)}"
        divides = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
        assert not divides, f"{where} divides into a float"
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float | complex)), where
        assert not (isinstance(node, ast.Name) and node.id in ("float", "round", "math", "complex")), where


class Forbidding(ast.NodeTransformer):
    """Makes every value that an expression has go through `no_float`."""

    def visit(self, node: Any) -> Any:
        if isinstance(node, ast.arg | ast.AnnAssign) or (
            isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        ):
            # annotations are no values; what an annotated assignment is given still is one
            if isinstance(node, ast.AnnAssign) and node.value is not None:
                node.value = self.visit(node.value)
            return node
        if isinstance(node, ast.FunctionDef):
            node.body = [self.visit(statement) for statement in node.body]
            return node
        super().generic_visit(node)
        if isinstance(
            node, ast.BinOp | ast.UnaryOp | ast.Call | ast.Subscript | ast.Name | ast.Attribute
        ) and (isinstance(getattr(node, "ctx", ast.Load()), ast.Load)):
            return ast.copy_location(
                ast.Call(ast.Name("no_float", ast.Load()), [node], []),
                node,
            )
        return node


def forbidding(source: str) -> CodeType:
    """The code of a module in which no expression may have a float for its value."""
    tree: ast.Module = ast.fix_missing_locations(Forbidding().visit(ast.parse(source)))
    return compile(tree, "without floats", "exec")


def no_float(value: object) -> object:
    if isinstance(value, float | complex):
        raise AssertionError("a float arose")
    return value


@pytest.fixture(scope="module")
def without_floats() -> Iterator[dict[str, ModuleType]]:
    """The modules, each built anew so that no expression in them can have a float for its value."""
    kept = {name: importlib.import_module(name) for name in INSTRUMENTED}
    built = {}
    try:
        for name in INSTRUMENTED:
            source = Path(str(kept[name].__file__)).read_text()
            module = ModuleType(name)
            module.__dict__["no_float"] = no_float
            sys.modules[name] = module
            exec(forbidding(source), module.__dict__)
            built[name] = module
        yield built
    finally:
        sys.modules.update(kept)


def test_the_ban_notices_a_float() -> None:
    made: dict[str, object] = {"no_float": no_float}
    exec(forbidding("def half(n):\n    return n / 2\n"), made)
    half = made["half"]
    assert callable(half)
    with pytest.raises(AssertionError, match="a float arose"):
        half(4)


def test_every_log_is_read_with_floats_forbidden_and_to_the_same_fixes(
    data: Path, without_floats: dict[str, ModuleType]
) -> None:
    fixes = views = 0
    for log in sorted((data / "gnss-logs").glob("*.log")):
        line = b"".join(piece for _, piece in load(log, 0).pieces)
        receiver, signs = without_floats["nmea"].Receiver(), without_floats["signs"].Signs()
        expected = nmea.Receiver()
        found, wanted = [], []
        for at in range(0, len(line), 256):
            receiver.sky.want()
            found += receiver.feed(line[at : at + 256])
            wanted += expected.feed(line[at : at + 256])
            signs.look(receiver.sky.view, at, signs_still(at))
        found += receiver.flush()
        wanted += expected.flush()
        assert [vars(fix) for fix in found] == [vars(fix) for fix in wanted]
        fixes, views = fixes + len(found), views + receiver.sky.taken
        for fix in found:
            record_of(fix, without_floats)
            assert all(only_integers(value) for value in vars(fix).values())
    assert fixes > 500
    assert views > 100


def signs_still(at: int) -> int:
    """Each way of lying still in turn."""
    return at // 256 % 3


def record_of(fix: object, modules: dict[str, ModuleType]) -> bytes:
    """The fix as a position's record; and whether it is near a place, asked on the way."""
    values = vars(fix)
    modules["policy"].near_places(
        [values["lat_e7"], values["lon_e7"], 100], values["lat_e7"], values["lon_e7"], values["precision_dm"]
    )
    names = ("lat_e7", "lon_e7", "precision_dm", "speed", "course", "satellites", "hdop", "flags")
    record: bytes = modules["records"].position(*(values[name] for name in names))
    return record


def only_integers(value: object) -> bool:
    if isinstance(value, tuple):
        return all(only_integers(part) for part in value)
    return value is None or type(value) is int


def test_the_vectors_are_read_with_floats_forbidden(
    data: Path, without_floats: dict[str, ModuleType]
) -> None:
    for vector in json.loads((data / "nmea-vectors" / "micropygps_expected.json").read_text()):
        receiver = without_floats["nmea"].Receiver()
        receiver.feed(vector["sentence"].encode() + b"\r\n")
        receiver.flush()
        assert receiver.accepted + receiver.rejected == 1


def test_every_level_becomes_a_figure_with_floats_forbidden(without_floats: dict[str, ModuleType]) -> None:
    channels, rhythm = without_floats["channels"], without_floats["rhythm"]
    policy, calibration = rhythm.Rhythm(), channels.Calibration(400_000, 49_999)
    for uv in range(0, 3_300_000, 997):
        values = channels.tac_e5(uv, calibration), channels.infrared_mv(uv), channels.temperature_e2(uv)
        assert all(only_integers(value) for value in values)
        if rhythm.alcohol(values) or rhythm.away(values, 3300, 1000, 3300):
            policy.see(uv)
        if policy.due(uv, 1800):
            policy.take(uv)
        without_floats["records"].sample(*values, 0)
