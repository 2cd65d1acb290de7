"""A first start compiles the rules before it says that it is ready, and who waits is not left with a guess."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from numba import config

from gateway import compiling, kernels
from gateway.control import WORKING, Control, ControlServer, IngestGoneError
from tests.gateway.conftest import open_house


def test_a_mark_says_that_everything_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if getattr(config, "DISABLE_JIT", False):
        assert compiling.compiled(), "nothing is compiled at all"
        return
    monkeypatch.setenv(kernels.VARIABLE, str(tmp_path))
    assert not compiling.compiled()
    compiling.compile_all()
    assert compiling.compiled()
    monkeypatch.delenv(kernels.VARIABLE)
    assert not compiling.compiled(), "where nothing can be kept every start compiles"


@pytest.mark.skipif(bool(getattr(config, "DISABLE_JIT", False)), reason="nothing is compiled at all")
def test_a_gateway_that_finds_no_mark_announces_that_it_compiles_and_is_ready_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Path(kernels.environment(None)[kernels.VARIABLE])
    without = tmp_path / kept.name
    shutil.copytree(kept, without, ignore=shutil.ignore_patterns("whole-*"))
    monkeypatch.setenv(kernels.VARIABLE, str(without))
    house = open_house(tmp_path / "gateway")
    try:
        assert list(without.glob("whole-*"))
        assert house.gateway.status()["working"] == ""
        assert "compiling the rules" in (tmp_path / "gateway" / "gateway.log").read_text()
    finally:
        house.close()
        assert house.gateway.stop() == 0


def test_an_answer_is_waited_for_while_the_ingest_says_that_it_is_at_work(tmp_path: Path) -> None:
    works = {"working": WORKING}

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if request["do"] == "status":
            return works
        time.sleep(0.5)
        return {"judged": 0}

    server = ControlServer(tmp_path / "control", answer)
    control = Control(tmp_path / "control", timeout_s=0.1)
    try:
        assert control.advance(1) == {"judged": 0}
        works["working"] = ""
        with pytest.raises(IngestGoneError):
            control.advance(2)
    finally:
        control.close()
        server.close()
    assert not list(tmp_path.iterdir())
