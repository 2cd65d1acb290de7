"""The same seed gives the same bytes, however the people are divided over processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from sim.score import report
from sim.scoring import Population, outcome

TAGWATCH = str(Path(sys.executable).with_name("tagwatch"))


def test_a_score_is_the_same_bytes_in_two_processes_that_hash_otherwise() -> None:
    command = [TAGWATCH, "sim", "score", "--wearers", "8", "--days", "2", "--seed", "31", "--json"]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONHASHSEED": hashes})
        for hashes in ("1", "2")
    ]
    first, second = (process.communicate()[0] for process in running)
    assert all(process.returncode == 0 for process in running)
    assert first == second
    found = json.loads(first)
    assert found["readings"] > 10_000
    together = outcome(Population(31, 2), range(8))  # there they were judged apart
    assert found["rules"] == json.loads(json.dumps(report(together.cases)["rules"]))
    assert found["readings"] == together.readings
