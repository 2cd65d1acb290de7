"""The commands of an order's life: variations, suspension, the end, absences and excuses, refusals and appeals."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.command_line import (
    AsJson,
    By,
    DataDir,
    DryRun,
    Order,
    Reason,
    Refused,
    logged_in,
    opened,
    said_by_whom_and_why,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateway.orders.kinds import Kind
    from gateway.orders.life import ByProbation, Done
    from gateway.orders.next_version import Change, Recorded
    from gateway.store.order_changes import ChangeRow

From = Annotated[
    str | None,
    typer.Option(
        "--effective", help="From when it acts: 2026-11-21 19:00, or with its offset. Default: now."
    ),
]
At = Annotated[
    str | None, typer.Option(help="When: 2026-11-21 19:00, or with its offset (…+00:00). Default: now.")
]
Condition = Annotated[
    str | None, typer.Option(help="The id of the condition that is meant, where it is one only.")
]


def register(order_app: typer.Typer) -> None:
    """Add these commands to `tagwatch order`."""
    for name, command in (
        *(("vary", vary), ("suspend", suspend), ("resume", resume), ("revoke", revoke), ("end", end)),
        *(("absence", absence), ("excuse", excuse), ("take-back", take_back)),
        *(("refused", refused), ("appeal", appeal), ("court-told", court_told), ("notice", notice)),
    ):
        order_app.command(name)(command)


def vary(
    order: Order,
    kind: Annotated[
        str, typer.Option(help="What is varied, as the order service words it: “Change to Curfew Hours”, …")
    ],
    by: By,
    reason: Reason,
    effective: From = None,
    hours: Annotated[
        str | None, typer.Option(help="The curfew's new hours: “Mo-Fr 19:00-07:00; Sa,Su 21:00-09:00”.")
    ] = None,
    place: Annotated[
        str | None,
        typer.Option(help="The new address: LATITUDE,LONGITUDE, and its radius in metres if given."),
    ] = None,
    condition: Condition = None,
    address: Annotated[
        str | None, typer.Option(help="Which address of the curfew, where it has several.")
    ] = None,
    zone: Annotated[
        Path | None, typer.Option(help="GeoJSON of one zone: a new one, or the new form of --condition.")
    ] = None,
    zone_type: Annotated[
        str, typer.Option(help="Of a new zone: exclusion, inclusion or restriction.")
    ] = "exclusion",
    name: Annotated[str | None, typer.Option(help="Of a new zone, or of the wearer.")] = None,
    device_type: Annotated[str | None, typer.Option(help="The device that is to be fitted instead.")] = None,
    suspended_from: Annotated[str | None, typer.Option(help="Order Suspension: from when.")] = None,
    suspended_to: Annotated[
        str | None, typer.Option(help="Order Suspension: until when; left out, until it is resumed.")
    ] = None,
    document: Annotated[
        Path | None, typer.Option(help="Instead of these: the whole order as it is to be, JSON.")
    ] = None,
    by_probation: Annotated[
        bool, typer.Option(help="Probation varies it itself (Sentencing Act 2020, Sch 9 para 10A).")
    ] = False,
    consent: Annotated[
        bool | None,
        typer.Option("--consent/--no-consent", help="Whether the wearer consents; left out: not recorded."),
    ] = None,
    circumstances: Annotated[str, typer.Option(help="How the wearer's circumstances have changed.")] = "",
    views: Annotated[str, typer.Option(help="What the people at a new address think of it.")] = "",
    court: Annotated[str, typer.Option(help="The court that made the order.")] = "",
    court_told: Annotated[
        str | None, typer.Option(help="The date on which the court was given the notice: 2026-11-21.")
    ] = None,
    agreed: Annotated[
        str | None, typer.Option(help="When it was agreed, where it is recorded after it began to act.")
    ] = None,
    replaces_later: Annotated[
        bool, typer.Option(help="It takes the place of versions that were to hold later, too.")
    ] = False,
    trial: DryRun = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Vary an order: by the court, or with --by-probation the times and address of a curfew."""
    from gateway.orders import life
    from gateway.orders.kinds import VARIATIONS, Kind
    from gateway.orders.times import instant_of
    from gateway.orders.words import folded

    chosen = next((one for one in VARIATIONS if folded(one) == folded(kind)), None)
    if chosen is None:
        raise Refused(f"{kind!r} is no kind of variation: give one of: {'; '.join(VARIATIONS)}")
    probation: ByProbation | None = None
    if by_probation:
        probation = life.ByProbation(consent, circumstances, views, court, _date(court_told))
    details = {
        name: said
        for name, said in (
            ("hours", hours), ("place", place), ("condition", condition), ("address", address),
            ("zone", None if zone is None else zone.name), ("name", name), ("court", court or None),
            ("document", None if document is None else document.name),
        )
        if said is not None
    }  # fmt: skip

    def work(connection: Connection, order_id: str, recorded: Recorded, now_ms: int) -> Done | ChangeRow:
        if chosen == Kind.DEVICE and document is None:
            if device_type is None:
                raise _wanting("--device-type")
            if trial:
                raise _refusal(
                    "there is nothing to try: it changes no order, and leaves a task to swap the device"
                )
            return life.device(connection, order_id, device_type, recorded, now_ms)
        if chosen == Kind.SUSPENSION and document is None:
            if suspended_from is None:
                raise _wanting("--suspended-from")
            to_ms = None if suspended_to is None else instant_of(suspended_to, "--suspended-to", ends=True)
            from_ms = instant_of(suspended_from, "--suspended-from")
            return life.suspend(connection, order_id, from_ms, to_ms, recorded, now_ms, trial=trial)
        change, says = _change(chosen, hours, place, condition, address, zone, zone_type, name, document)
        from_ms_or_now = effective or says
        return life.vary(
            connection,
            order_id,
            chosen,
            change,
            recorded,
            now_ms,
            None if from_ms_or_now is None else instant_of(from_ms_or_now, "--effective"),
            probation=probation,
            agreed_ms=None if agreed is None else instant_of(agreed, "--agreed"),
            replaces_later=replaces_later,
            trial=trial,
        )

    _do(order, str(chosen), by, reason, work, data_dir, as_json, trial, details)


def suspend(
    order: Order,
    by: By,
    reason: Reason,
    from_: Annotated[str | None, typer.Option("--from", help="From when; default: now.")] = None,
    to: Annotated[
        str | None, typer.Option(help="Until when; left out, until it is resumed or the order ends.")
    ] = None,
    trial: DryRun = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Suspend an order: nothing of it is monitored between two instants."""
    from gateway.orders import life
    from gateway.orders.kinds import Kind
    from gateway.orders.times import instant_of

    def work(connection: Connection, order_id: str, recorded: Recorded, now_ms: int) -> Done:
        from_ms = now_ms if from_ is None else instant_of(from_, "--from")
        to_ms = None if to is None else instant_of(to, "--to", ends=True)
        return life.suspend(connection, order_id, from_ms, to_ms, recorded, now_ms, trial=trial)

    _do(order, Kind.SUSPENSION, by, reason, work, data_dir, as_json, trial)


def resume(
    order: Order,
    by: By,
    reason: Reason,
    at: At = None,
    trial: DryRun = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """End a suspension: from then on the order is monitored again."""
    from gateway.orders import life
    from gateway.orders.kinds import Kind

    def work(connection: Connection, order_id: str, recorded: Recorded, now_ms: int) -> Done:
        return life.resume(connection, order_id, _at(at, now_ms), recorded, now_ms, trial=trial)

    _do(order, Kind.RESUMED, by, reason, work, data_dir, as_json, trial)


def revoke(
    order: Order,
    by: By,
    reason: Reason,
    at: At = None,
    court: Annotated[str, typer.Option(help="The court that has revoked it.")] = "",
    trial: DryRun = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """A court has revoked the order: monitoring stops at that instant, and the tag is to be taken off."""
    from gateway.orders.kinds import Kind

    _end(order, Kind.REVOKED, by, reason, at, {"court": court} if court else {}, trial, data_dir, as_json)


def end(
    order: Order,
    by: By,
    reason: Reason,
    at: At = None,
    trial: DryRun = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """End the monitoring of an order at an instant, and not before; the tag is to be taken off."""
    from gateway.orders.kinds import Kind

    _end(order, Kind.END, by, reason, at, {}, trial, data_dir, as_json)


def _end(
    order: str,
    kind: Kind,
    by: str,
    reason: str,
    at: str | None,
    details: Mapping[str, Any],
    trial: bool,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    from gateway.orders import life

    def work(connection: Connection, order_id: str, recorded: Recorded, now_ms: int) -> Done:
        return life.end(connection, order_id, _at(at, now_ms), recorded, now_ms, trial=trial)

    _do(order, kind, by, reason, work, data_dir, as_json, trial, details)


def absence(
    order: Order,
    from_: Annotated[str, typer.Option("--from", help="From when: 2026-11-21 19:00, or with its offset.")],
    to: Annotated[str, typer.Option(help="Until when.")],
    by: By,
    reason: Reason,
    condition: Condition = None,
    agreed: Annotated[
        str | None, typer.Option(help="When it was agreed, where it is recorded after it began.")
    ] = None,
    trial: DryRun = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Record an absence that was agreed beforehand: from now on its time is no curfew; what was raised in it stands."""
    from core.order import DiscountKind
    from gateway.orders import life
    from gateway.orders.kinds import Kind
    from gateway.orders.times import instant_of

    def work(connection: Connection, order_id: str, recorded: Recorded, now_ms: int) -> Done:
        return life.discount(
            connection,
            order_id,
            DiscountKind.AUTHORISED_ABSENCE,
            instant_of(from_, "--from"),
            instant_of(to, "--to", ends=True),
            recorded,
            now_ms,
            condition=condition,
            agreed_ms=None if agreed is None else instant_of(agreed, "--agreed"),
            trial=trial,
        )

    _do(order, Kind.ABSENCE, by, reason, work, data_dir, as_json, trial)


def excuse(
    by: By,
    reason: Reason,
    order: Annotated[
        str | None, typer.Argument(help="The order; not needed with --alert.", show_default=False)
    ] = None,
    alert: Annotated[int | None, typer.Option(help="The alert's number: its whole time is excused.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="From when; with --alert its start.")] = None,
    to: Annotated[str | None, typer.Option(help="Until when; with --alert its end, or now.")] = None,
    condition: Condition = None,
    trial: DryRun = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Record a reasonable excuse: the alerts of that time say so and stay; it is not counted as time absent."""
    from core.order import DiscountKind
    from gateway.orders import life
    from gateway.orders.kinds import Kind
    from gateway.orders.times import instant_of

    if alert is None and (order is None or from_ is None or to is None):
        raise Refused("say what is excused: --alert NUMBER, or the order with --from and --to")

    def work(connection: Connection, order_id: str, recorded: Recorded, now_ms: int) -> Done:
        from_ms = None if from_ is None else instant_of(from_, "--from")
        to_ms = None if to is None else instant_of(to, "--to", ends=True)
        mine = condition
        if alert is not None:
            span = life.span_of_alert(connection, alert, order_id, now_ms)
            from_ms = span.from_ms if from_ms is None else from_ms
            to_ms = span.to_ms if to_ms is None else to_ms
            mine = span.condition if mine is None else mine
        assert from_ms is not None
        assert to_ms is not None
        return life.discount(
            connection,
            order_id,
            DiscountKind.REASONABLE_EXCUSE,
            from_ms,
            to_ms,
            recorded,
            now_ms,
            condition=mine,
            trial=trial,
        )

    details = {} if alert is None else {"alert": alert}
    _do(order, Kind.EXCUSE, by, reason, work, data_dir, as_json, trial, details, alert=alert)


def take_back(
    order: Order,
    change: Annotated[int, typer.Argument(help="The number of the absence or excuse, from `order show`.")],
    by: By,
    reason: Reason,
    trial: DryRun = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take an absence or an excuse back, by a new version; that it was given stays on record."""
    from gateway.orders import life
    from gateway.orders.kinds import Kind

    def work(connection: Connection, order_id: str, recorded: Recorded, now_ms: int) -> Done:
        return life.take_back(connection, order_id, change, recorded, now_ms, trial=trial)

    _do(order, Kind.TAKEN_BACK, by, reason, work, data_dir, as_json, trial)


def refused(
    order: Order,
    asked: Annotated[str, typer.Option(help="What was asked for.")],
    by: By,
    reason: Reason,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Record that a variation was refused, by probation or by the wearer. The wearer can appeal to the court."""
    from gateway.orders import life
    from gateway.orders.kinds import Kind

    def work(connection: Connection, order_id: str, recorded: Recorded, now_ms: int) -> ChangeRow:
        return life.refused(connection, order_id, asked, recorded, now_ms)

    _do(order, Kind.REFUSED, by, reason, work, data_dir, as_json)


def appeal(
    order: Order,
    change: Annotated[int, typer.Argument(help="The number of the refusal, from `order show`.")],
    outcome: Annotated[str, typer.Option(help="What came of it, or “lodged”.")],
    by: By,
    reason: Reason,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Record that the wearer appeals against a refusal, and what the court decides."""
    from gateway.orders import life
    from gateway.orders.kinds import Kind

    def work(connection: Connection, order_id: str, recorded: Recorded, now_ms: int) -> ChangeRow:
        return life.appealed(connection, order_id, change, outcome, recorded, now_ms)

    _do(order, Kind.APPEAL, by, reason, work, data_dir, as_json)


def court_told(
    order: Order,
    version: Annotated[int, typer.Argument(help="The version that probation's variation has made.")],
    on: Annotated[str, typer.Option(help="The date: 2026-11-21.")],
    by: By,
    reason: Annotated[str, typer.Option(help="How it was given.")] = "the notice was given to the court",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Record that the sentencing court was given the notice of a variation by probation."""
    from gateway.orders import life
    from gateway.orders.kinds import Kind

    def work(connection: Connection, order_id: str, recorded: Recorded, now_ms: int) -> ChangeRow:
        day = _date(on)
        assert day is not None
        return life.court_told(connection, order_id, version, day, recorded, now_ms)

    _do(order, Kind.COURT_TOLD, by, reason, work, data_dir, as_json)


def notice(
    order: Order,
    version: Annotated[int, typer.Argument(help="The version that probation's variation has made.")],
    out: Annotated[Path, typer.Option(help="The folder for the HTML and the PDF.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write the notice to the sentencing court again, as HTML and PDF. The look is recorded."""
    from gateway.gateway_time import now
    from gateway.orders import OrderRefused, life, view
    from gateway.pdf import PdfError, pdf_of
    from gateway.store import looks
    from gateway.whole_files import write_whole

    with opened(data_dir, OrderRefused, LookupError, OSError, PdfError) as (settings, store):
        now_ms = now(store, settings.clock).ms
        with store.write() as connection:
            order_id = view.found(connection, order)
            row = life.variation_of(connection, order_id, version)
            looks.add(connection, now_ms, logged_in("operator"), f"order notice {order_id} {version}")
        html = str(row.details["notice"])
        out.mkdir(parents=True, exist_ok=True)
        # an order may be called anything
        name = "notice-" + "".join(one if one.isalnum() else "-" for one in order_id) + f"-{version}"
        files = {out / f"{name}.html": html.encode(), out / f"{name}.pdf": pdf_of(html)}
        for path, data in files.items():
            write_whole(path, data, 0o600)
    if as_json:
        typer.echo(json.dumps([str(path) for path in files]))
        return
    for path in files:
        typer.echo(str(path))


def _do(
    order: str | None,
    kind: str,
    by: str,
    reason: str,
    work: Callable[[Connection, str, Recorded, int], Done | ChangeRow],
    data_dir: Path | None,
    as_json: bool,
    trial: bool = False,
    details: Mapping[str, Any] | None = None,
    alert: int | None = None,
) -> None:
    """Do it in one transaction and say what came of it."""
    from gateway.gateway_time import now
    from gateway.orders import OrderRefused, history, life, view
    from gateway.orders.next_version import Recorded
    from gateway.orders.written_hours import HoursError

    said_by_whom_and_why(by, reason)
    with opened(data_dir, OrderRefused, HoursError, LookupError, OSError, json.JSONDecodeError) as (
        settings,
        store,
    ):
        present = now(store, settings.clock)
        if not present.known:
            raise Refused(
                "this gateway has not been told the time since it was switched on: try again when it has"
            )
        with store.read() if trial else store.write() as connection:
            if order is None:
                assert alert is not None
                order_id = life.order_of_alert(connection, alert)
            else:
                order_id = view.found(connection, order)
            done = work(connection, order_id, Recorded(kind, by, reason, details or {}), present.ms)
            shown = history.told_of(connection, order_id, done, trial=trial)
    if as_json:
        typer.echo(json.dumps(shown, ensure_ascii=False))
        return
    for line in shown["lines"]:
        alarm = line.startswith(("TO BE LOOKED AT", "NOT MONITORED"))
        typer.secho(line, fg=typer.colors.YELLOW if alarm else None)


def _change(
    kind: Kind,
    hours: str | None,
    place: str | None,
    condition: str | None,
    address: str | None,
    zone: Path | None,
    zone_type: str,
    name: str | None,
    document: Path | None,
) -> tuple[Change, str | None]:
    """What is asked for, and from when on where a document says so."""
    from gateway.orders import variations
    from gateway.orders.kinds import Kind

    given = [one for one in (hours, place, zone, document) if one is not None]
    if kind == Kind.PERSON and not given and name is not None:
        return variations.called(name), None
    if len(given) != 1:
        raise _refusal("say what it becomes, by one of: --hours, --place, --zone, --name, --document")
    if document is not None:
        said = json.loads(document.read_text("utf-8"))
        if not isinstance(said, dict):
            raise _refusal(f"{document} holds no order: it is no JSON object")
        return variations.whole(said), said.get("effective")
    if hours is not None:
        return variations.hours(hours, condition, address), None
    if place is not None:
        return variations.address(*_place(place), condition, address), None
    assert zone is not None
    geometry = json.loads(zone.read_text("utf-8"))
    if kind == Kind.ZONE:
        if condition is None:
            raise _wanting("--condition")
        return variations.zone(condition, geometry), None
    if name is None:
        raise _wanting("--name")
    return variations.new_zone(
        {"id": condition or _id_of(name), "type": zone_type, "name": name, "zone": geometry}
    ), None


def _id_of(name: str) -> str:
    return "-".join("".join(one if one.isalnum() else " " for one in name.casefold()).split()) or "zone"


def _place(text: str) -> tuple[float, float, float | None]:
    try:
        parts = [float(part) for part in text.split(",")]
    except ValueError:
        parts = []
    if len(parts) not in (2, 3):
        raise _refusal(f"--place is {text!r}: give LATITUDE,LONGITUDE or LATITUDE,LONGITUDE,RADIUS")
    return parts[0], parts[1], parts[2] if len(parts) == 3 else None


def _at(at: str | None, now_ms: int) -> int:
    from gateway.orders.times import instant_of

    return now_ms if at is None else instant_of(at, "--at")


def _date(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refused(f"{text!r} is no date: give it as 2026-11-21") from None


def _refusal(sentence: str) -> Exception:
    from gateway.orders import OrderRefused

    return OrderRefused(sentence)


def _wanting(option: str) -> Exception:
    return _refusal(f"for this kind give {option}")
