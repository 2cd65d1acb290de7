"""Pictures of the documentation's pages: one look, and the same bytes whenever they are drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tagwatch",
    "font.size": 9,
    "axes.grid": True,
    "grid.alpha": 0.3,
}


def draw(folder: Path, pictures: Mapping[str, Callable[[], Figure]]) -> None:
    """Draw each picture into ``folder``, by its name, as SVG."""
    folder.mkdir(exist_ok=True)
    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        for name, picture in pictures.items():
            drawn = StringIO()
            picture().savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
            lines = "\n".join(line.rstrip() for line in drawn.getvalue().splitlines())
            (folder / f"{name}.svg").write_text(lines + "\n", encoding="utf-8")
