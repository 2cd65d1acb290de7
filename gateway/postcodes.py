"""The middle of a postcode, from the operator's own copy of a published file: the gateway has no Internet to ask.

Two are understood, each as the ZIP it is published as or as CSV: Ordnance Survey's *Code-Point Open* (rows without a
header: postcode, quality, easting, northing, ...) and the *Postcode Directory* of the Office for National Statistics
(ONSPD, or its sister NSPL; a header with ``pcds``, ``doterm``, ``lat``, ``long``). They are read once, into an index
in the data folder (`INDEX`), and anew when the file is another.

The middle of a postcode is no address: it stands for some 15 of them, and for a farm a mile off as well.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
import sqlite3
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from core.national_grid import Degrees, OffTheGridError, from_grid

INDEX = "postcodes.sqlite"
_FORM = 1
_WRITTEN = re.compile(r"(GIR ?0AA|[A-Z]{1,2}[0-9][0-9A-Z]? ?[0-9][ABD-HJLNP-UW-Z]{2})")
_WHERE_FROM = (
    "Code-Point Open (osdatahub.os.uk/downloads/open/CodePointOpen) or the ONS Postcode Directory "
    "(geoportal.statistics.gov.uk); both are free"
)
_AT_ONCE = 10_000

_CODE_POINT = {
    30: "it is off by up to 50 m",
    40: "it is the mean of addresses that are not there any more",
    50: "it is guessed from the postcodes around it",
    60: "it is the middle of the postcode's sector, which may be a kilometre off",
}
"""What Ordnance Survey's positional quality indicator says, where it is not the building itself (10, 20); 90: none."""
_ONS = {
    3: "it is off by up to 50 m",
    4: "it is the mean of the postcode's addresses",
    5: "it is guessed from the postcodes around it",
    6: "it is the middle of the postcode's sector, which may be a kilometre off",
    8: "it is the last place known of a postcode that was given up long ago",
}
"""The same of the Office for National Statistics, where it is not the building (1, 2); 9: none."""


class PostcodeError(ValueError):
    """There is no such postcode, or none can be looked up; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Centre:
    """The middle of a postcode: its usual spelling, the place, the file it is from, and what is doubtful about it."""

    postcode: str
    place: Degrees
    source: str
    doubts: tuple[str, ...] = ()


Watch = Callable[[Iterable[str], int], Iterable[str]]
"""Gets the parts of a file that are about to be read, and how many, and gives them back: to show how far it is."""


def _plainly(parts: Iterable[str], _count: int) -> Iterable[str]:
    return parts


def centre_of(written: str, file: Path | None, folder: Path, watch: Watch = _plainly) -> Centre:
    """The middle of a postcode, by the file that the operator has named. Raises PostcodeError.

    ``folder`` is where the index lies; it is made here where there is none, or where the file has changed.
    """
    postcode = spelt(written)
    if file is None:
        raise PostcodeError(
            f"postcodes can not be looked up: the setting `postcodes` names no file. Copy one here, {_WHERE_FROM}, "
            "or give the place by --at or --grid"
        )
    with closing(_index(file, folder / INDEX, watch)) as index:
        key = postcode.replace(" ", "")
        row = index.execute(
            "SELECT grid, x, y, quality, ended FROM centre WHERE postcode = ?", (key,)
        ).fetchone()
        count = index.execute("SELECT value FROM about WHERE name = 'count'").fetchone()[0]
    if row is None:
        beyond = (
            " It has none of Northern Ireland: the ONS Postcode Directory does." if key[:2] == "BT" else ""
        )
        raise PostcodeError(
            f"{postcode} is not among the {int(count):,} postcodes of {file.name}: look whether it is right, or give "
            f"the place by --at or --grid.{beyond}"
        )
    return _centre(postcode, row, file.name)


def spelt(written: str) -> str:
    """A postcode in its usual spelling, ``NG1 5FT``. Raises PostcodeError where it is none."""
    plain = "".join(written.split()).upper()
    if _WRITTEN.fullmatch(plain) is None:
        raise PostcodeError(f"{written!r} is no postcode: write it as in NG1 5FT")
    return f"{plain[:-3]} {plain[-3:]}"


def _centre(postcode: str, row: tuple[int, float, float, int, str], source: str) -> Centre:
    grid, x, y, quality, ended = row
    if quality == (90 if grid else 9) or (x == 0 and y == 0):
        raise PostcodeError(f"{source} has no place for {postcode}: give it by --at or --grid")
    try:
        place = from_grid(x, y) if grid else Degrees(x, y)
    except OffTheGridError as error:
        raise PostcodeError(f"{source} says of {postcode}: {error}") from None
    doubts = []
    why = (_CODE_POINT if grid else _ONS).get(quality)
    if why is not None:
        doubts.append(f"the place of {postcode} is doubtful (quality {quality} in {source}): {why}")
    if ended:
        doubts.append(
            f"{postcode} was given up in {ended[:4]}-{ended[4:6]} ({source}): nobody lives there under it now"
        )
    return Centre(postcode, place, source, tuple(doubts))


def _index(file: Path, index: Path, watch: Watch) -> sqlite3.Connection:
    try:
        found = file.stat()
    except OSError as error:
        raise PostcodeError(
            f"the file of postcodes can not be read ({file}: {error.strerror}): see the setting `postcodes`. It takes "
            f"{_WHERE_FROM}"
        ) from None
    mark = f"{_FORM}:{found.st_size}:{found.st_mtime_ns}"
    try:
        opened = sqlite3.connect(f"{index.absolute().as_uri()}?mode=ro", uri=True)
        try:
            (known,) = opened.execute("SELECT value FROM about WHERE name = 'of'").fetchone()
            if known == mark:
                return opened
        except (sqlite3.Error, TypeError):
            pass  # cut off, or of another program: it is made anew
        opened.close()
    except sqlite3.Error:
        pass  # there is none
    _make(file, index, mark, watch)
    return sqlite3.connect(f"{index.absolute().as_uri()}?mode=ro", uri=True)


def _make(file: Path, index: Path, mark: str, watch: Watch) -> None:
    """Write the index beside its place, and put it there whole."""
    made = index.with_suffix(".part")
    made.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(made, isolation_level=None)) as connection:
            # it can be made again at any time: nothing waits for the disk
            connection.execute("PRAGMA journal_mode=OFF")
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute(
                "CREATE TABLE centre (postcode TEXT PRIMARY KEY, grid INTEGER, x REAL, y REAL, quality INTEGER, "
                "ended TEXT) WITHOUT ROWID"
            )
            connection.execute("CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT)")
            connection.execute("BEGIN")
            rows = _rows(file, watch)
            while some := list(itertools.islice(rows, _AT_ONCE)):
                connection.executemany("INSERT OR REPLACE INTO centre VALUES (?, ?, ?, ?, ?, ?)", some)
            (count,) = connection.execute("SELECT count(*) FROM centre").fetchone()
            if not count:
                raise PostcodeError(
                    f"{file.name} holds no postcodes that are understood here: it takes {_WHERE_FROM}"
                )
            connection.executemany("INSERT INTO about VALUES (?, ?)", [("of", mark), ("count", str(count))])
            connection.execute("COMMIT")
        made.replace(index)
    except (sqlite3.Error, OSError) as error:
        raise PostcodeError(f"the index of postcodes can not be written to {index}: {error}") from None
    finally:
        made.unlink(missing_ok=True)


_Row = tuple[str, int, float, float, int, str]


def _rows(file: Path, watch: Watch) -> Iterator[_Row]:
    """Every row of a file, whichever of the two it is. Raises PostcodeError."""
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as packed:
                names = [name for name in packed.namelist() if name.casefold().endswith(".csv")]
                for name in watch(names, len(names)):
                    with packed.open(name) as part:
                        yield from _of_csv(io.TextIOWrapper(part, "utf-8-sig", newline=""))
            return
        for _ in watch([file.name], 1):
            with file.open(encoding="utf-8-sig", newline="") as part:
                yield from _of_csv(part)
    except (OSError, UnicodeDecodeError, csv.Error, zipfile.BadZipFile) as error:
        raise PostcodeError(f"{file} can not be read to its end ({error}): copy it anew") from None


def _of_csv(lines: Iterable[str]) -> Iterator[_Row]:
    """The rows of one table; none where it is another table (both come with tables of names beside them)."""
    table = csv.reader(lines)
    first = next(table, [])
    names = {name.strip().casefold(): at for at, name in enumerate(first)}
    if {"pcds", "lat", "long"} <= names.keys():
        yield from _of_ons(table, names)
    elif len(first) >= 4 and (row := _code_point(first)) is not None:
        yield row
        for line in table:
            row = _code_point(line)
            if row is not None:
                yield row


def _of_ons(table: Iterable[list[str]], names: dict[str, int]) -> Iterator[_Row]:
    written, latitude, longitude = names["pcds"], names["lat"], names["long"]
    ended = names.get("doterm")
    # what it is called changed in 2025
    quality = next((names[name] for name in ("osgrdind", "gridind") if name in names), None)
    for line in table:
        try:
            key = spelt(line[written]).replace(" ", "")
            told = 1 if quality is None else int(line[quality] or 9)
            x, y = float(line[latitude]), float(line[longitude])
            yield key, 0, x, y, 9 if x > 90 else told, "" if ended is None else line[ended].strip()
        except (ValueError, IndexError):
            continue  # a line that is cut off, or no postcode of the United Kingdom


def _code_point(line: list[str]) -> _Row | None:
    try:
        return spelt(line[0]).replace(" ", ""), 1, float(line[2]), float(line[3]), int(line[1]), ""
    except (ValueError, IndexError):
        return None
