"""``tagwatch replay`` of real people's bracelets: an alcohol tag's real firmware, broker and gateway."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.bracelets import is_bracelet
from tests.system.brokers import behind
from tests.system.test_replay import replay, run


@pytest.mark.long
def test_bracelets_and_receivers_side_by_side_are_told_in_the_order_given(
    data: Path, tmp_path: Path, which_at_length: str
) -> None:
    names = [data / "scram-tac" / f"{name}_raw.csv" for name in ("JB3156", "BK7610")]
    trail = next((data / "trails").glob("*Utrecht6*.csv"))
    assert [is_bracelet(path) for path in (*names, trail)] == [True, True, False]
    with behind(which_at_length, tmp_path):
        first, walked, second = replay("--data-dir", tmp_path, names[0], trail, names[1])
    assert (first["log"], second["log"]) == ("JB3156_raw.csv", "BK7610_raw.csv")
    assert len(walked["positions"]) > 30
    for result in (first, second):
        assert len(result["samples"]) > 100
        assert result["samples"] == sorted(result["samples"], key=lambda sample: sample["t"])
        (event,) = [alert for alert in result["alerts"] if alert["rule"] == "drinking_event"]
        assert event["figures"]["status"] == "confirmed"
        (day,) = result["days"]
        assert (day["day"], day["state"]) == ("2017-05-02", "NOT_SOBER")


def test_what_is_no_bracelet_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    for text, reason in (
        ("local_time,tac_g_dl\n2026-01-01T00:00:00,0.0\n", "ir_voltage"),
        ("local_time,tac_g_dl,ir_voltage,temperature_f\n2026-01-01T00:00:00,much,1,1\n", "much"),
        ("local_time,tac_g_dl,ir_voltage,temperature_f\n2026-01-01T00:00:00,0,1,80\n", "two readings"),
    ):
        path.write_text(text)
        done = run("replay", path, code=1)
        assert reason in done.stderr
        assert "Traceback" not in done.stderr
