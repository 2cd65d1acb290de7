"""From what was typed to a zone, to places and to hours: whatever is wrong or doubtful about it ends the command."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.command_line import Refused

if TYPE_CHECKING:
    from gateway.orders.completing import DrawnZone
    from gateway.settings import Settings
    from gateway.zone_choice import Chosen, Spot


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed about a place or a zone."""

    file: Path | None
    feature: str | None
    postcode: str | None
    at: str | None
    grid: str | None
    radius_m: float | None
    kinds: tuple[str, ...]
    warning_m: float | None
    hours: tuple[str, ...]
    schedule_file: Path | None
    repaired_by: str | None
    anyway: bool


def kinds(exclusion: bool, inclusion: bool, restriction: bool) -> tuple[str, ...]:
    """Which of them were given."""
    told = {"exclusion": exclusion, "inclusion": inclusion, "restriction": restriction}
    return tuple(name for name, given in told.items() if given)


def _spot(settings: Settings, asked: Asked) -> Spot | None:
    """The place that was given in one of three ways; None where none was."""
    from gateway import zone_choice

    told = [name for name in ("postcode", "at", "grid") if getattr(asked, name) is not None]
    if len(told) > 1:
        raise Refused(f"--{told[0]} and --{told[1]} both give a place: give one")
    if asked.at is not None:
        return zone_choice.degrees(asked.at)
    if asked.grid is not None:
        return zone_choice.national_grid(asked.grid)
    if asked.postcode is None:
        return None
    file = settings.data_dir / settings.postcodes if settings.postcodes else None
    return zone_choice.postcode(asked.postcode, file, settings.data_dir, _watched)


def _watched(parts: Iterable[str], count: int) -> Iterable[str]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(
        parts,
        "reading the file of postcodes, once",
        total=count,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def zone_of(settings: Settings, asked: Asked) -> tuple[DrawnZone, dict[str, Any]]:
    """The zone that was chosen, and what is recorded of how."""
    from gateway import zone_choice
    from gateway.orders.completing import DrawnZone
    from gateway.orders.written_hours import HoursError, timetable
    from gateway.zone_choice import ZoneChoiceError
    from gateway.zone_files import ZoneFileError

    if len(asked.kinds) > 1:
        raise Refused(f"a zone is one of them: --{' or --'.join(asked.kinds)}")
    try:
        spot = _spot(settings, asked)
        if (spot is None) == (asked.file is None):
            raise Refused(
                "give one zone: a FILE of GeoJSON, or a circle by --postcode, --at or --grid with --radius-m"
            )
        if spot is not None:
            if asked.radius_m is None:
                raise Refused("a circle needs its --radius-m")
            if asked.feature is not None or asked.repaired_by is not None:
                raise Refused(
                    "--feature and --repaired-by are for a FILE: a circle has nothing to choose or to mend"
                )
            chosen = zone_choice.circle(spot, asked.radius_m)
        else:
            assert asked.file is not None
            if asked.radius_m is not None:
                raise Refused("--radius-m is for a circle: a FILE says by itself how far its zone reaches")
            chosen = zone_choice.out_of_file(asked.file, asked.feature, repaired=bool(asked.repaired_by))
        weekly = timetable(asked.hours) if asked.hours else None
    except (ZoneChoiceError, ZoneFileError, HoursError) as error:
        raise Refused(error) from None
    _refuse_doubts(chosen.doubts, asked)
    schedule = {"weekly": weekly} if weekly else None
    if asked.schedule_file is not None:
        if weekly:
            raise Refused("--hours and --schedule-file both give the zone's times: give one")
        schedule = _json(asked.schedule_file)
    kind = asked.kinds[0] if asked.kinds else None
    return DrawnZone(chosen.geometry, kind, asked.warning_m, schedule), _details(chosen, asked)


def _details(chosen: Chosen, asked: Asked) -> dict[str, Any]:
    told: dict[str, Any] = {"source": chosen.source, "called": chosen.name}
    if chosen.repair is not None:
        told |= {"repair": chosen.repair, "repaired_by": asked.repaired_by}
    if chosen.doubts:
        told["confirmed"] = list(chosen.doubts)
    return told


def _refuse_doubts(doubts: Iterable[str], asked: Asked) -> None:
    lines = [f"TO BE LOOKED AT: {doubt}" for doubt in doubts]
    if lines and not asked.anyway:
        raise Refused(
            "\n  ".join(["it is not taken yet", *lines, "If it is meant so, say --anyway: that is recorded"])
        )


def refuse_zone(asked: Asked, kind: str) -> None:
    """What is for zones only is refused where the condition is of another type."""
    odd = {
        "--zone": asked.file is not None,
        "--feature": asked.feature is not None,
        "--warning-m": asked.warning_m is not None,
        "--schedule-file": asked.schedule_file is not None,
        "--repaired-by": asked.repaired_by is not None,
        "--" + " --".join(asked.kinds): bool(asked.kinds),
    }
    told = [name for name, given in odd.items() if given]
    if told:
        raise Refused(f"the condition is of type {kind}, and {' and '.join(told)} is for zones: leave it out")
    if asked.postcode is not None:
        raise Refused(
            "the middle of a postcode is no address: find where the door is, and give it by --at or --grid. Only zones "
            "are drawn about a postcode"
        )


def hours_of(lines: tuple[str, ...], file: Path | None, address: str) -> dict[str, list[Mapping[str, Any]]]:
    """Timetables by the name of the address."""
    from gateway.orders.written_hours import HoursError, timetable

    if file is None:
        try:
            return {address: list(timetable(lines))} if lines else {}
        except HoursError as error:
            raise Refused(error) from None
    if lines:
        raise Refused("--hours and --hours-file both give the hours: give one")
    given = _json(file)
    if isinstance(given, Mapping):
        given = given.get("hours", given.get("timetable"))
    if not isinstance(given, list) or not all(isinstance(one, Mapping) for one in given) or not given:
        raise Refused(
            f"{file} holds no hours: give a timetable (a list of days, start, end), or a list of address and timetable"
        )
    if all("timetable" in one for one in given):
        return {str(one.get("address", address)): list(one["timetable"]) for one in given}
    return {address: given}


def places_of(asked: Asked, address: str, named: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Where addresses are, by name, and what is recorded of how they were found."""
    from gateway import zone_choice
    from gateway.orders.completing import Place

    spots: dict[str, Spot] = {}
    try:
        for one in named:
            name, told, where = one.partition("=")
            if not told:
                raise Refused(f"{one!r} names no address: write --place primary=52.95,-1.15")
            spots[name.strip()] = zone_choice.degrees(where)
        if asked.at is not None and asked.grid is not None:
            raise Refused("--at and --grid both give the place: give one")
        if asked.at is not None:
            spots[address] = zone_choice.degrees(asked.at)
        elif asked.grid is not None:
            spots[address] = zone_choice.national_grid(asked.grid)
    except zone_choice.ZoneChoiceError as error:
        raise Refused(error) from None
    if spots and asked.radius_m is None:
        raise Refused(
            "an address needs its --radius-m: how many metres from there the wearer is still at home"
        )
    if asked.radius_m is not None and not spots:
        raise Refused("--radius-m is about a place: give it by --at, --grid or --place")
    doubts: list[str] = []
    for name, spot in spots.items():
        doubts += [f"{name}: {doubt}" for doubt in spot.doubts]
        try:
            drawn = zone_choice.circle(spot, asked.radius_m or 1.0)
        except zone_choice.ZoneChoiceError as error:
            raise Refused(error) from None
        doubts += [f"{name}: {doubt}" for doubt in drawn.doubts if "United Kingdom" in doubt]
    _refuse_doubts(doubts, asked)
    places = {
        name: Place(spot.latitude, spot.longitude, asked.radius_m or 1.0) for name, spot in spots.items()
    }
    told_of = {name: spot.source for name, spot in spots.items()}
    return places, ({"places": told_of} if told_of else {}) | ({"confirmed": doubts} if doubts else {})


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise Refused(f"{file} can not be read: {error.strerror}") from None
    except ValueError as error:
        raise Refused(f"{file} is no JSON: {error}") from None
