"""Kernels are kept where they can be, and never outlive the sources that they were made of."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import kernels
from tests.conftest import ROOT

VARIABLE = kernels.VARIABLE
RUN = (
    "import os; from pathlib import Path; from gateway import kernels; "
    "os.environ.update(kernels.environment(Path('data'))); "
    "from core.plane import metres_between; from core.trail import trust; from core import plane, trail; "
    "import numpy as np; from core.rows import FIX; "
    "fixes = np.zeros(2, FIX); fixes['t_ms'] = [0, 60_000]; fixes['lat'] = [51.5, 51.501]; "
    "fixes['radius_m'] = 5.0; fixes['key'] = [1, 2]; way = np.zeros(2); "
    "from core.rules import DEFAULT_RULES; "
    "trail.trust(fixes, 0, 2, trail.nothing_known()[0], trail.trust_limits(DEFAULT_RULES), way); "
    "print(round(way[1]), len(trail.trust.stats.cache_hits), os.environ.get('NUMBA_CACHE_DIR', ''))"
)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A core elsewhere, as a package that somebody installed, into which nothing can be written (not even by root)."""
    shutil.copytree(ROOT / "core", tmp_path / "core", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "core" / "__pycache__").touch()  # where a folder would have to be
    return tmp_path


def run(folder: Path, script: str = RUN, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script with the core of ``folder``, by a user without a home."""
    given = {name: value for name, value in os.environ.items() if name not in (VARIABLE, "XDG_CACHE_HOME")}
    given |= {"HOME": "/dev/null", "NUMBA_DISABLE_JIT": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    given |= {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"} | environment
    return subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=given, capture_output=True, text=True, check=False
    )


def told(folder: Path, **environment: str) -> tuple[int, int, Path]:
    """Metres found, kernels that came from the cache, and where that is."""
    ran = run(folder, **environment)
    assert ran.returncode == 0, ran.stderr
    metres, hits, where = ran.stdout.split()
    return int(metres), int(hits), Path(where)


def test_left_alone_numba_would_not_start_where_nothing_can_be_written(installed: Path) -> None:
    """Why this is here at all."""
    assert "no locator available" in run(installed, "import core.trail").stderr


def test_a_core_that_root_installed_keeps_its_kernels_in_the_data_folder(installed: Path) -> None:
    metres, hits, where = told(installed)
    assert (metres, hits) == (111, 0)
    assert where.parent == installed / "data" / "kernels"
    assert told(installed) == (111, 1, where), "a second start compiles nothing"


def test_the_operators_folder_comes_first(installed: Path) -> None:
    mine = installed / "mine"
    assert told(installed, **{VARIABLE: str(mine)})[2].parent == mine


def test_a_kernel_is_made_anew_when_one_that_it_calls_in_another_file_has_changed(installed: Path) -> None:
    metres, _, before = told(installed)
    source = installed / "core" / "plane.py"
    text = source.read_text()
    changed = text.replace("return np.sqrt(dx * dx + dy * dy)", "return 2.0 * np.sqrt(dx * dx + dy * dy)")
    assert changed != text
    source.write_text(changed)
    twice, hits, after = told(installed)
    assert (twice, hits) == (2 * metres, 0) or (twice, hits) == (2 * metres + 1, 0)
    assert after != before


def test_what_no_kernel_is_made_of_changes_nothing(installed: Path) -> None:
    before = kernels.digest(installed / "core")
    for name in ("monitor.py", "case.py", "law.py"):
        with (installed / "core" / name).open("a") as source:
            source.write("# a word\n")
    assert kernels.digest(installed / "core") == before
    with (installed / "core" / "episodes.py").open("a") as source:
        source.write("# a word\n")
    assert kernels.digest(installed / "core") != before


def test_a_process_within_a_process_uses_the_same_folder(tmp_path: Path) -> None:
    outer = kernels.environment(tmp_path, {VARIABLE: str(tmp_path)})
    assert Path(outer[VARIABLE]).parent == tmp_path
    assert kernels.environment(tmp_path, outer) == outer


def test_a_package_above_the_core_has_a_folder_of_its_own_and_takes_along_what_is_compiled_of_the_core(
    tmp_path: Path,
) -> None:
    sim = tmp_path / "sim"
    shutil.copytree(ROOT / "sim", sim, ignore=shutil.ignore_patterns("__pycache__"))
    cores = Path(kernels.environment(None, {VARIABLE: str(tmp_path)})[VARIABLE])
    (cores / "core_0123").mkdir()
    (cores / "core_0123" / "trail.nbi").write_text("compiled")
    both = kernels.environment(None, {VARIABLE: str(cores)}, above=sim)
    assert Path(both[VARIABLE]).parent == tmp_path
    assert (Path(both[VARIABLE]) / "core_0123" / "trail.nbi").read_text() == "compiled"
    assert kernels.environment(None, both) == both, "a gateway that a simulator starts"
    with (sim / "noise.py").open("a") as source:
        source.write("# called by kernels in other files\n")
    assert kernels.environment(None, {VARIABLE: str(tmp_path)}, above=sim) != both


def test_kernels_that_nobody_has_used_for_a_week_are_removed_and_nothing_else(tmp_path: Path) -> None:
    old, fresh, other = (
        tmp_path / name for name in ("core-0123456789abcdef", "core-fedcba9876543210", "mine")
    )
    for folder in (old, fresh, other):
        folder.mkdir()
    for folder in (old, other):
        os.utime(folder, (1, 1))
    kernels.environment(None, {VARIABLE: str(tmp_path)})
    assert not old.exists()
    assert fresh.exists() and other.exists()
