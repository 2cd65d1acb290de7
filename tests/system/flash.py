"""What a tag has on its flash, read with the firmware's own journal from a copy of the image."""

from __future__ import annotations

from pathlib import Path

from journal import Journal

from sim.bench.flash import read_files


def journal_of(image: Path, scratch: Path) -> Journal:
    """The journal on a tag's flash image, opened on a copy in ``scratch``: the tag's own is not touched."""
    scratch.mkdir()
    for name, content in read_files(image).items():
        if name.startswith("/journal/"):
            (scratch / Path(name).name).write_bytes(content)
    return Journal(str(scratch), 640 * 1024, lambda n: bytes(n))
