"""``python -m tests.fuzz TARGET SECONDS [CORPUS]``: guided by what the code does with it (atheris, libFuzzer).

``all`` takes the targets by turns, the first byte of the input choosing one. What is found is written as
``crash-…`` into CORPUS, or where this was started; `tests/fuzz/test_fuzz.py` runs what was found before.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

ROOT = Path(__file__).parents[2]
FIRMWARE = ("", "lib", "gps_tag", "rf_tag", "home_unit", "alcohol_tag")
sys.path[:0] = [str(ROOT), *(str(ROOT / "firmware" / name) for name in FIRMWARE)]

DECODERS = [
    "core.envelope",
    "core.wire",
    "core.decoding",
    *(f"gateway.{name}" for name in ("verify", "evidence", "sequences", "frames")),
    *("cbor", "envelope", "commands", "conversation", "console"),  # the tags' own
]

with atheris.instrument_imports(include=DECODERS):
    from tests.fuzz.seeds import seeds
    from tests.fuzz.targets import TARGETS


def by_turns(data: bytes) -> None:
    """The first byte says which target gets the rest."""
    if data:
        targets = list(TARGETS.values())
        targets[data[0] % len(targets)](data[1:])


def main() -> None:
    """Ends with another code than 0 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=["all", *TARGETS])
    parser.add_argument("seconds", type=int)
    parser.add_argument("corpus", type=Path, nargs="?")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        begin = Path(name)
        for number, seed in enumerate(seeds()):
            if given.target == "all":
                for choice in range(len(TARGETS)):
                    (begin / f"{number}-{choice}").write_bytes(bytes((choice,)) + seed)
            else:
                (begin / str(number)).write_bytes(seed)
        folders = [str(begin)]
        if given.corpus is not None:
            given.corpus.mkdir(parents=True, exist_ok=True)
            folders = [str(given.corpus), str(begin)]
        target = by_turns if given.target == "all" else TARGETS[given.target]
        artifacts = f"{given.corpus or Path.cwd()}/"
        options = [f"-max_total_time={given.seconds}", "-max_len=4200", f"-artifact_prefix={artifacts}"]
        atheris.Setup([sys.argv[0], *options, "-print_final_stats=1", *folders], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
