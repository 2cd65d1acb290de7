"""`tagwatch order complete` and `tagwatch zone add`: a person gives an order what it does not say by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.command_line import AsJson, By, DataDir, DryRun, Order, Refused, opened, said_by_whom_and_why
from gateway.place_options import Asked, hours_of, kinds, places_of, refuse_zone, zone_of

if TYPE_CHECKING:
    from gateway.orders.completions import Made, Who
    from gateway.settings import Settings
    from gateway.store import Store

Why = Annotated[str, typer.Option("--why", help="Why, and by whose word: it stands with the version.")]
Postcode = Annotated[
    str | None, typer.Option(help="The circle's middle: that of a postcode (see the setting `postcodes`).")
]
At = Annotated[str | None, typer.Option(help="The place: LATITUDE,LONGITUDE in degrees, as 52.95,-1.15.")]
Grid = Annotated[
    str | None,
    typer.Option(help="The place on the National Grid: EASTING,NORTHING in metres, or SK 572 399."),
]
Radius = Annotated[
    float | None, typer.Option("--radius-m", help="Metres about the place: of a circle, or of an address.")
]
Feature = Annotated[str | None, typer.Option(help="Which zone of the file: its name, or its number from 0.")]
Exclusion = Annotated[bool, typer.Option("--exclusion", help="To keep out of.")]
Inclusion = Annotated[bool, typer.Option("--inclusion", help="To be in at its times.")]
Restriction = Annotated[bool, typer.Option("--restriction", help="Not to leave.")]
Ring = Annotated[float | None, typer.Option("--warning-m", help="Width of the warning ring, metres.")]
Hours = Annotated[
    list[str] | None,
    typer.Option("--hours", help="Times of the week, as 'Mo-Fr 19:00-07:00'; more than once for more."),
]
Repaired = Annotated[
    str | None,
    typer.Option("--repaired-by", help="Who drew the zone and agrees to the repair that is offered."),
]
Anyway = Annotated[
    bool,
    typer.Option("--anyway", help="What is doubtful about the place has been looked at, and is meant so."),
]
Effective = Annotated[
    datetime | None,
    typer.Option(
        help="From when on, UTC; left out: from now, or from the order's beginning.",
        formats=["%Y-%m-%dT%H:%M:%SZ"],
    ),
]


def register(order_app: typer.Typer, zone_app: typer.Typer) -> None:
    """Add the two commands."""
    order_app.command("complete")(order_complete)
    zone_app.command("add")(zone_add)


def zone_add(
    order: Order,
    by: By,
    why: Why,
    file: Annotated[Path | None, typer.Argument(help="GeoJSON; left out for a circle.")] = None,
    feature: Feature = None,
    postcode: Postcode = None,
    at: At = None,
    grid: Grid = None,
    radius_m: Radius = None,
    condition: Annotated[
        str | None,
        typer.Option(help="The zone of a condition that is NOT MONITORED; left out for a new one."),
    ] = None,
    name: Annotated[str, typer.Option(help="What a new zone is called; it stands in every alert.")] = "",
    exclusion: Exclusion = False,
    inclusion: Inclusion = False,
    restriction: Restriction = False,
    warning_m: Ring = None,
    hours: Hours = None,
    schedule_file: Annotated[
        Path | None,
        typer.Option(help="The zone's schedule as JSON (docs/orders.md), with dates and exceptions."),
    ] = None,
    begins: Annotated[
        datetime | None,
        typer.Option("--from", help="A new zone's first instant, UTC.", formats=["%Y-%m-%dT%H:%M:%SZ"]),
    ] = None,
    ends: Annotated[
        datetime | None,
        typer.Option("--to", help="A new zone's last instant, UTC.", formats=["%Y-%m-%dT%H:%M:%SZ"]),
    ] = None,
    repaired_by: Repaired = None,
    anyway: Anyway = False,
    effective: Effective = None,
    dry_run: DryRun = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Add a zone to an order: to a condition that waits for it, or as a new one. Exit code 1: refused."""
    from gateway.orders import OrderRefused, completions
    from gateway.orders.completing import Given

    asked = Asked(
        *(file, feature, postcode, at, grid, radius_m, kinds(exclusion, inclusion, restriction), warning_m),
        *(tuple(hours or ()), schedule_file, repaired_by, anyway),
    )
    dates = {key: _instant(one) for key, one in (("from", begins), ("to", ends)) if one is not None}
    if condition is not None and (name or dates):
        raise Refused(
            "a condition of the order has its name and its dates: leave out --name, --from and --to"
        )
    with opened(data_dir, OrderRefused, LookupError) as (settings, store):
        order_id = _order_id(store, order)
        zone, details = zone_of(settings, asked)
        who = _who(store, settings, by, why, effective)
        if condition is None:
            made = completions.add_zone(store, order_id, name, zone, who, details, dates, dry_run=dry_run)
        else:
            given = Given(zone=zone)
            made = completions.complete(store, order_id, condition, given, who, details, dry_run=dry_run)
        _tell(store, made, details, as_json=as_json, dry_run=dry_run)


def order_complete(
    order: Order,
    condition: Annotated[str, typer.Argument(help="The condition's id, as `tagwatch order show` tells it.")],
    by: By,
    why: Why,
    at: At = None,
    grid: Grid = None,
    radius_m: Radius = None,
    address: Annotated[
        str | None,
        typer.Option(help="Which address of a curfew --at and --hours are about: primary, secondary ..."),
    ] = None,
    place: Annotated[
        list[str] | None, typer.Option(help="Of several addresses each: NAME=LATITUDE,LONGITUDE.")
    ] = None,
    hours: Hours = None,
    hours_file: Annotated[
        Path | None,
        typer.Option(help="JSON: a timetable, or for several addresses a list of address and timetable."),
    ] = None,
    zone: Annotated[Path | None, typer.Option(help="A zone's file of GeoJSON.")] = None,
    feature: Feature = None,
    postcode: Postcode = None,
    exclusion: Exclusion = False,
    inclusion: Inclusion = False,
    restriction: Restriction = False,
    warning_m: Ring = None,
    schedule_file: Annotated[
        Path | None, typer.Option(help="A zone's schedule as JSON (docs/orders.md).")
    ] = None,
    limit_tac: Annotated[
        float | None, typer.Option(help="The transdermal level that the court allows, g/dl.")
    ] = None,
    abstinence: Annotated[bool, typer.Option("--abstinence", help="The court allows no alcohol.")] = False,
    repaired_by: Repaired = None,
    anyway: Anyway = False,
    effective: Effective = None,
    dry_run: DryRun = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Complete a condition that is NOT MONITORED: its place, hours, zone or level. Exit code 1: refused."""
    from gateway.orders import OrderRefused, completions
    from gateway.orders.completing import UNTYPED_ZONE, ZONES, Given

    asked = Asked(
        *(zone, feature, postcode, at, grid, radius_m, kinds(exclusion, inclusion, restriction), warning_m),
        *(tuple(hours or ()), schedule_file, repaired_by, anyway),
    )
    with opened(data_dir, OrderRefused, LookupError) as (settings, store):
        order_id = _order_id(store, order)
        mine = _condition(store, order_id, condition)
        details: dict[str, Any] = {}
        if mine.get("type") in (*ZONES, UNTYPED_ZONE):
            if place or hours_file or address:
                raise Refused(
                    "a zone takes no --place, no --address and no --hours-file: its times are --hours"
                )
            drawn, details = zone_of(settings, asked)
            given = Given(zone=drawn, limit_tac_g_dl=limit_tac, abstinence=abstinence)
        else:
            refuse_zone(asked, str(mine.get("type", "unknown")))
            known = [str(one["address"]) for one in mine.get("hours", ())]
            timetables = hours_of(
                asked.hours, hours_file, address or (known[0] if len(known) == 1 else "primary")
            )
            named = known or list(timetables)
            places, details = places_of(
                asked, address or (named[0] if len(named) == 1 else "primary"), place or ()
            )
            given = Given(None, places, timetables, limit_tac, abstinence)
        who = _who(store, settings, by, why, effective)
        made = completions.complete(store, order_id, condition, given, who, details, dry_run=dry_run)
        _tell(store, made, details, as_json=as_json, dry_run=dry_run)


def _who(store: Store, settings: Settings, by: str, why: str, effective: datetime | None) -> Who:
    from gateway.clock import utc_ms
    from gateway.gateway_time import now
    from gateway.orders.completions import Who

    said_by_whom_and_why(by, why, "--why")
    effective_ms = None if effective is None else utc_ms(effective)
    return Who(" ".join(by.split()), why.strip(), now(store, settings.clock).ms, effective_ms)


def _order_id(store: Store, order: str) -> str:
    from gateway.orders import view

    with store.read() as connection:
        return view.found(connection, order)


def _condition(store: Store, order_id: str, condition: str) -> Mapping[str, Any]:
    """What the newest version says of a condition; {} where it has none of that id, which is refused later."""
    from gateway.store import orders

    with store.read() as connection:
        document = json.loads(orders.versions(connection, order_id)[-1].document)
    found = (one for one in document["conditions"] if str(one.get("id")) == condition)
    return next(found, {})


def _instant(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"


def _tell(store: Store, made: Made, details: Mapping[str, Any], *, as_json: bool, dry_run: bool) -> None:
    from gateway.clock import utc_text
    from gateway.orders import beyond
    from gateway.orders.told import conditions_told
    from gateway.store import orders

    plan = made.plan
    order = plan.steps[-1].order
    mine = next(one for one in order.conditions if one.id == made.condition)
    with store.read() as connection:
        worn = [row for row in orders.activations_of(connection, plan.order_id) if row.removed_ms is None]
    unseen = (
        []
        if dry_run
        else [row.device for row in worn if mine.id in {one.id for one in beyond(store, row.id)}]
    )
    facts = {
        "order": plan.order_id,
        "version": order.version,
        "from": utc_text(plan.effective_ms),
        "condition": made.condition,
        **details,
        "not_monitored": [str(one) for one in made.still_open],
        "law": [str(problem) for problem in plan.problems],
        "tasks_done": list(made.settled),
        "devices_that_can_not_tell": unseen,
        "dry_run": dry_run,
    }
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    line = next(
        told for told, one in zip(conditions_told(order), order.conditions, strict=False) if one.id == mine.id
    )
    would = "would be" if dry_run else "is"
    typer.echo(
        f"order {plan.order_id} version {order.version}: {made.condition} {would} monitored from {facts['from']}"
    )
    typer.echo(f"  {line}")
    for key in ("source", "repair"):
        if key in details:
            typer.echo(f"  {key}: {details[key]}")
    for problem in plan.problems:
        typer.secho(f"TO BE LOOKED AT: {problem}", fg=typer.colors.YELLOW)
    for device in unseen:
        typer.secho(
            f"NOT MONITORED by {device}, which is worn and can not tell of it: fit a device that can",
            fg=typer.colors.YELLOW,
        )
    for one in made.still_open:
        typer.secho(f"STILL NOT MONITORED: {one}", fg=typer.colors.YELLOW)
    if not made.still_open:
        typer.echo("nothing else of the order is NOT MONITORED" if not unseen else "")
    if made.settled:
        typer.echo(f"tasks done by it: {', '.join(map(str, made.settled))}")
    if dry_run:
        typer.echo("dry run: nothing was written")
