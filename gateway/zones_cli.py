"""`tagwatch zone`: zones looked at before anybody is judged by them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.command_line import AsJson, Refused

if TYPE_CHECKING:
    from gateway.zone_files import LookedAt

_MOST = 10
"""So many problems of one zone are told to a person; a program is told all."""

zone_app = typer.Typer(help="Zones: where somebody must not be, or must be.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.add_typer(zone_app, name="zone")


@zone_app.command()
def check(
    file: Annotated[Path, typer.Argument(help="GeoJSON: a geometry, a Feature or a FeatureCollection.")],
    repaired: Annotated[
        Path | None,
        typer.Option(help="Write the file with the offered repairs there, to be looked at on a map."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say of each zone in a file what it is, or what is wrong with it and where. Exit code 1 where one is refused."""
    from rich.console import Console
    from rich.progress import track

    from gateway.zone_files import ZoneFileError, look, with_repairs, zones_of

    try:
        zones = zones_of(file)
    except ZoneFileError as error:
        raise Refused(error, 2) from None
    console = Console(stderr=True)
    watched = track(
        zones, "looking at zones", console=console, transient=True, disable=as_json or not console.is_terminal
    )
    found = [look(*zone) for zone in watched]
    refused = [one for one in found if one.problems]
    written = sum(one.repair is not None for one in found)
    if repaired is not None and written:
        try:
            with repaired.open("x", encoding="utf-8") as out:
                json.dump(with_repairs(zones, found), out)
        except OSError as error:
            raise Refused(
                f"{repaired} can not be written: {error.strerror}. Name a file that is not there yet", 2
            ) from None
    if as_json:
        typer.echo(
            json.dumps(
                {"zones": len(found), "refused": len(refused), "found": [_facts(one) for one in found]}
            )
        )
    else:
        for one in found:
            _tell(one)
        typer.echo(
            f"{len(found)} zones: {len(found) - len(refused)} can be monitored, {len(refused)} are refused"
        )
        if repaired is not None and written:
            typer.echo(
                f"{repaired} has {written} repaired. Look at it on a map; nothing uses it until you add it"
            )
    raise typer.Exit(1 if refused else 0)


def _tell(one: LookedAt) -> None:
    if one.figures is not None:
        drawn = one.figures
        west, south, east, north = drawn.bounds
        pieces = "1 piece" if drawn.pieces == 1 else f"{drawn.pieces} pieces"
        holes = f", {drawn.holes} hole{'s' * (drawn.holes != 1)}" if drawn.holes else ""
        typer.echo(
            f"{one.name}: can be monitored. {pieces}{holes}, {_area(drawn.area_m2)}, {drawn.vertices:,} corners, "
            f"longitude {west:.4f} to {east:.4f}, latitude {south:.4f} to {north:.4f}"
        )
    else:
        typer.secho(f"{one.name}: REFUSED", fg=typer.colors.RED)
    for problem in one.problems[:_MOST]:
        typer.secho(f"  {problem}", fg=typer.colors.RED)
    if len(one.problems) > _MOST:
        typer.secho(
            f"  and {len(one.problems) - _MOST} more like these (--json tells all)", fg=typer.colors.RED
        )
    for doubt in one.doubts:
        typer.secho(f"  TO BE LOOKED AT: {doubt}", fg=typer.colors.YELLOW)
    if one.repair is not None:
        typer.echo(f"  {one.repair.sentence}")


def _facts(one: LookedAt) -> dict[str, Any]:
    facts = asdict(one)
    facts["taken"] = not one.problems
    return facts


def _area(square_m: float) -> str:
    return f"{square_m / 1e6:,.1f} km²" if square_m >= 1e6 else f"{square_m:,.0f} m²"
