"""``tagwatch replay``, ``tagwatch demo`` and ``tagwatch sim``: the whole chain with no hardware."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from core.order import OrderError
from core.sober_rates import SoberDay
from gateway import simulated
from gateway.orders import OrderRefused
from sim.recordings import RecordingError, load

if TYPE_CHECKING:
    from sim.cast import Part

LONDON = ZoneInfo("Europe/London")
FULL_SPEED = "max"
_DAY_STYLE = {
    "SOBER": ("green", "a sober day"),
    "NOT_SOBER": ("bold red", "not sober"),
    "UNVERIFIED": ("yellow", "unverified"),
}
_STATE_STYLE = {"open": "bold red", "ended": "yellow", "withdrawn": "dim"}


def register(app: typer.Typer) -> None:
    """Add the simulator's commands, and the devices that `tagwatch fit` has without hardware."""
    simulated.starters.append(_device)
    app.command()(replay)
    app.command()(demo)
    simulator = typer.Typer(no_args_is_help=True, help="Stories and populations, run without hardware.")
    simulator.command("list")(list_scenarios)
    simulator.command("run")(run_scenario)
    simulator.command()(score)
    simulator.command()(fleet)
    simulator.command("town")(town)
    app.add_typer(simulator, name="sim")


def _device(kind: str, folder: Path) -> contextlib.AbstractContextManager[simulated.Simulated]:
    from sim.fitting import behind_a_port

    return behind_a_port(kind, folder)


@contextlib.contextmanager
def _folder(data_dir: Path | None) -> Iterator[Path]:
    """``data_dir``, or a folder that goes when the command ends."""
    if data_dir is not None:
        yield data_dir
    else:
        with tempfile.TemporaryDirectory(prefix="tagwatch-") as folder:
            yield Path(folder)


def _speed(text: str) -> float | None:
    if text == FULL_SPEED:
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not speed > 0:
        raise typer.BadParameter(f"{text!r} is neither '{FULL_SPEED}' nor a number above 0")
    return speed


def replay(
    logs: Annotated[
        list[Path], typer.Argument(help="Receiver logs (*.log), trails or alcohol bracelets (*.csv).")
    ],
    zone: Annotated[
        Path | None, typer.Option(help="GeoJSON polygon: an exclusion zone for every wearer.")
    ] = None,
    speed: Annotated[str, typer.Option(help="How many times faster than life, or 'max'.")] = FULL_SPEED,
    every_fix: Annotated[
        bool, typer.Option("--every-fix", help="Store every fix, not one a minute.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object for each log, a line each.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Where the bytes are cut into chunks.")] = 0,
    broker: Annotated[str | None, typer.Option(help="Use an outside broker: mqtt://host:port.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Keep the gateway's folder here.")] = None,
) -> None:
    """Feed real recordings into the real firmware, and show what the gateway makes of them."""
    from sim import bracelets
    from sim import replay as player
    from sim.rig import Rig

    out, err = Console(), Console(stderr=True)
    pace = _speed(speed)
    try:
        today_ms = int(time.time() * 1000)
        recordings = [
            bracelets.load(path) if bracelets.is_bracelet(path) else load(path, today_ms) for path in logs
        ]
        document = None if zone is None else player.zone_document(zone)
        with _folder(data_dir) as folder, _progress(err) as progress:
            waiting = progress.add_task("starting the gateway", total=None)
            with Rig(folder, seed=seed, broker=broker) as rig:
                progress.remove_task(waiting)
                bars = [
                    progress.add_task(recording.name, total=1.0, visible=False) for recording in recordings
                ]

                def moved(index: int, share: float) -> None:
                    progress.update(bars[index], completed=share, visible=share < 1)

                for result in player.replay_all(
                    rig, recordings, zone=document, speed=pace, every_fix=every_fix, moved=moved
                ):
                    if as_json:
                        typer.echo(json.dumps(result.to_json()))
                    else:
                        _show(out, result)
    except (RecordingError, player.ZoneFileError, OrderError, OrderRefused) as error:
        err.print(f"tagwatch: {error}", style="red", highlight=False)
        raise typer.Exit(1) from None


def demo(
    for_s: Annotated[
        float | None,
        typer.Option("--for", help="End after so many seconds at that speed, with a summary."),
    ] = None,
    speed: Annotated[float, typer.Option(min=1, max=600, help="How many times faster than life.")] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object at the end.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed, the same people and the same noise.")] = 1,
    broker: Annotated[str | None, typer.Option(help="Use an outside broker: mqtt://host:port.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Keep the gateway's folder here.")] = None,
) -> None:
    """Twelve tags of all kinds, a broker, a gateway and its page, a night at sixty times its pace. Ctrl-C ends it."""
    from sim.demo import Demo
    from sim.rig import Rig

    out = Console(stderr=as_json)
    told: dict[int, dict[str, Any]] = {}
    days: list[dict[str, str]] = []

    def tell(alert: dict[str, Any]) -> None:
        known = told.get(alert["number"])
        told[alert["number"]] = alert
        if known is None or known["state"] != alert["state"]:
            _alert_line(out, alert, night.now_ms)

    def count(part: Part, day: SoberDay) -> None:
        days.append({"wearer": part.name, "day": day.day.isoformat(), "state": day.state.value})
        style, words = _DAY_STYLE[day.state.value]
        reasons = " ".join(reason.sentence for reason in day.reasons)
        out.print(
            f"{_clock(night.now_ms)}  [{style}]{day.words:<13}[/] {part.name}: {day.day:%A %-d %B} counts as {words};"
            f" {day.valid} of {day.half_hours} half-hours have a valid reading. {reasons}",
            highlight=False,
            soft_wrap=True,
        )

    with _folder(data_dir) as folder:
        out.print("Tagwatch: starting broker, gateway and page …")
        with Rig(folder, web=True, seed=seed, broker=broker) as rig:
            night = Demo(rig, speed, tell, count)
            out.print("Fitting the tags (each runs the real firmware under the real MicroPython):")
            for part in night.parts:
                out.print(f"  {part.device}  {part.name:<12} {part.shows}")
            with _progress(out) as progress:
                bar = progress.add_task("The alcohol tags live the day before", total=1.0)
                night.open(lambda share: progress.update(bar, completed=share))
            out.print(f"\nAlerts appear here and on [bold]{rig.gateway.web_url}[/bold]   (Ctrl-C ends)")
            out.print(f"It is {_clock(night.start_ms)}; {speed:g} times faster than life.\n")
            with contextlib.suppress(KeyboardInterrupt):
                night.run(for_s)
            tally = night.close()
            alerts = rig.alerts()
    if as_json:
        typer.echo(json.dumps({**asdict(tally), "alerts": alerts, "days": days}))
    else:
        held = tally.sent - tally.committed
        out.print(
            f"\n{tally.tags} tags made {tally.sent} readings; {tally.committed} are committed to disk"
            f" ({'nothing is missing' if held == 0 else f'{held} are still in the tags'}),"
            f" {tally.duplicates} came twice, {tally.quarantined} messages are in quarantine; {len(alerts)} alerts."
        )


def list_scenarios() -> None:
    """The scenarios that come with Tagwatch."""
    from sim.scenario import every_path
    from sim.story import load as read

    out = Console()
    table = Table("scenario", "what it shows", box=None, pad_edge=False)
    for path in every_path():
        scenario = read(path)
        marks = [
            mark for mark in (scenario.only_firmware and "needs --firmware", scenario.known_issue) if mark
        ]
        table.add_row(scenario.name, scenario.shows + "".join(f"\n[dim]{mark}[/]" for mark in marks))
    out.print(table)


def run_scenario(
    file: Annotated[Path, typer.Argument(help="A scenario, or the name of one of `tagwatch sim list`.")],
    firmware: Annotated[
        bool, typer.Option("--firmware", help="With real firmware, broker and gateway.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Keep the gateway's folder here.")] = None,
) -> None:
    """Run a scenario and hold what is raised against what it expects; ends with 0 only where all of that holds."""
    from gateway.process import GatewayError
    from sim.bench.tag import BenchError
    from sim.runs import run_direct
    from sim.scenario import ScenarioError, find
    from sim.stage import run_firmware
    from sim.story import load as read
    from sim.verdict import judge

    err = Console(stderr=True)
    try:
        scenario = read(find(file))
    except ScenarioError as error:
        err.print(f"tagwatch: {error}", style="red", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    if scenario.only_firmware and not firmware:
        err.print(
            f"tagwatch: {scenario.name} can only be shown by real firmware: add --firmware", style="red"
        )
        raise typer.Exit(2)
    with _progress(err) as progress:
        bar = progress.add_task(scenario.name, total=1.0)

        def moved(share: float) -> None:
            progress.update(bar, completed=share)

        try:
            if firmware:
                with _folder(data_dir) as folder:
                    raised = run_firmware(scenario, folder, moved)
            else:
                raised = run_direct(scenario, moved)
        except (BenchError, GatewayError, OrderRefused) as error:
            err.print(f"tagwatch: {error}", style="red", highlight=False, soft_wrap=True)
            raise typer.Exit(3) from None
    verdict = judge(scenario, raised)
    if as_json:
        document = {
            "scenario": scenario.name,
            "way": "firmware" if firmware else "direct",
            "holds": verdict.holds,
            "known_issue": scenario.known_issue,
            "rows": [row.to_json() for row in verdict.rows],
            "alerts": [one.to_json() for one in raised],
        }
        typer.echo(json.dumps(document))
    else:
        out = Console()
        out.print(f"[bold]{scenario.title}[/]\n{scenario.shows}\n", highlight=False)
        table = Table("", "expected", "got", box=None, pad_edge=False)
        for row in verdict.rows:
            table.add_row("[green]holds[/]" if row.holds else "[bold red]fails[/]", row.expected, row.got)
        out.print(table)
        if scenario.known_issue and not verdict.holds:
            out.print(f"\nKnown: {scenario.known_issue}", style="yellow", highlight=False)
    raise typer.Exit(0 if verdict.holds else 1)


def score(
    wearers: Annotated[int, typer.Option(min=1, help="How many people of the town.")] = 100,
    days: Annotated[int, typer.Option(min=1, max=90, help="For how many days.")] = 7,
    seed: Annotated[int, typer.Option(help="Other seeds, other people.")] = 1,
    firmware: Annotated[
        bool,
        typer.Option("--firmware", help="Delays alone, with real firmware, broker and gateway."),
    ] = False,
    events: Annotated[
        int,
        typer.Option(min=1, help="With --firmware: of each kind, of as many people as have them."),
    ] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    data_dir: Annotated[
        Path | None, typer.Option(help="With --firmware: keep the gateway's folder here.")
    ] = None,
) -> None:
    """How well the rules do on a random population whose every step is known (docs/score.md)."""
    from sim.scoring import score as run

    err = Console(stderr=True)
    if firmware:
        _score_firmware(err, events, days, seed, as_json, data_dir)
        return
    with _progress(err) as progress:
        bar = progress.add_task("living and judging", total=1.0)
        found = run(wearers, days, seed, moved=lambda share: progress.update(bar, completed=share))
    if as_json:
        typer.echo(json.dumps(found))
    else:
        _score_table(Console(), found)


def _score_firmware(
    err: Console, events: int, days: int, seed: int, as_json: bool, data_dir: Path | None
) -> None:
    """How long alerts take through the whole chain."""
    from gateway.process import GatewayError
    from sim.bench.tag import BenchError
    from sim.delays import measure

    try:
        with _progress(err) as progress, _folder(data_dir) as folder:
            bars = {what: progress.add_task(what, total=1.0) for what in ("looking for events", "living")}
            found = measure(
                events, days, seed, folder, lambda what, share: progress.update(bars[what], completed=share)
            )
    except (BenchError, GatewayError) as error:
        err.print(f"tagwatch: {error}", style="red", highlight=False, soft_wrap=True)
        raise typer.Exit(3) from None
    if as_json:
        typer.echo(json.dumps(found))
        return
    out = Console()
    out.print(
        f"{found['wearers']} wearers, {found['days']} days, seed {found['seed']}: {found['windows']} windows,"
        f" {found['device_hours']:g} hours of devices; time in steps of {found['step_s']} s"
    )
    table = Table("", *(column.replace("_", " ") for column in _DELAY_COLUMNS), box=None)
    for kind, row in found["delays"].items():
        table.add_row(kind, *(str(row[column]) for column in _DELAY_COLUMNS))
    out.print(table)


def _score_table(out: Console, found: dict[str, Any]) -> None:
    out.print(
        f"{found['wearers']} wearers, {found['days']} days, seed {found['seed']}: {found['readings']} readings"
    )
    for title, rows in (
        ("rules", {"rules": found["rules"]}),
        ("simple rules on GPS tags alone", found["peers"]),
    ):
        table = Table("", *_SCORE_COLUMNS, title=title, title_justify="left", box=None)
        for name, families in rows.items():
            for family, row in families.items():
                shown = (str(row[column]) for column in _SCORE_COLUMNS)
                table.add_row(family if name == "rules" else f"{name}, {family}", *shown)
        out.print(table)
    sober, unknown = found["sober_day"], found["unknown"]
    out.print(
        f"sober days: accuracy {sober['accuracy']} of {sober['days']}, {sober['errors']} errors,"
        f" {sober['errors_not_unverified']} of them not on the side of UNVERIFIED"
    )
    for family, row in unknown.items():
        out.print(
            f"unknown time ({family}): {row['share']:.1%}; {row['inside_whereabouts_unknown']} of"
            f" {row['violations']} violations in it lie inside an alert of whereabouts unknown,"
            f" {row['told_outright']} more were told outright"
        )


_SCORE_COLUMNS = (
    *("events", "recall", "precision", "false_per_1000_wearer_days"),
    *("delay_median_s", "delay_p95_s"),
)

_DELAY_COLUMNS = (
    *("events", "told", "without_network_at_start", "delay_median_s", "delay_p95_s"),
    *("direct_delay_median_s", "direct_delay_p95_s"),
    *("difference_median_s", "difference_p5_s", "difference_p95_s"),
)


def fleet(
    wearers: Annotated[int, typer.Option(min=1, max=9_999_999, help="How many wearers have a tag.")],
    for_s: Annotated[float, typer.Option("--for", min=0.1, help="Send for so many seconds.")] = 30.0,
    rate: Annotated[
        float | None,
        typer.Option(min=0.01, help="Messages a second; else what so many wearers send: one each in 5 min."),
    ] = None,
    ordered: Annotated[
        int, typer.Option(min=0, help="So many of them have an order (a zone and a curfew) and are judged.")
    ] = 0,
    seed: Annotated[int, typer.Option(help="The same seed, the same keys and walks.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object at the end.")] = False,
    data_dir: Annotated[
        Path | None, typer.Option(help="Keep the gateway's folder here; it must be new.")
    ] = None,
) -> None:
    """Load as a fleet puts it on a real broker and gateway: messages sealed before, sent by the clock."""
    from gateway.process import GatewayError
    from sim.fleet import run
    from sim.publisher import PublisherError

    out, err = Console(), Console(stderr=True)
    try:
        with _folder(data_dir) as folder, _progress(err) as progress:
            bar = progress.add_task("", total=1.0)

            def moved(what: str, share: float) -> None:
                progress.update(bar, description=what, completed=share)

            report = run(folder, wearers, for_s, rate=rate, ordered=ordered, seed=seed, moved=moved)
    except (ValueError, OSError, GatewayError, PublisherError) as error:
        err.print(f"tagwatch: {error}", style="red", highlight=False)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps(asdict(report)))
        return
    for what, count, per_s in (
        ("sent", report.sent, report.sent_per_s),
        ("acknowledged", report.acknowledged, report.acknowledged_per_s),
        ("committed", report.committed, report.committed_per_s),
    ):
        out.print(f"{what:<13}{count:>9}  {per_s:>8.1f} messages/s", highlight=False)
    out.print(
        f"from PUBLISH to PUBACK  p50 {report.acknowledged_p50_ms} ms, p99 {report.acknowledged_p99_ms} ms\n"
        f"from PUBLISH to commit  p50 {report.committed_p50_ms} ms, p99 {report.committed_p99_ms} ms\n"
        f"{report.readings_in_store} readings in the store, of {report.wearers} wearers; {report.ordered} are judged:"
        f" {report.alerts} alerts; {report.quarantined} messages in quarantine",
        highlight=False,
        soft_wrap=True,
    )
    if report.committed < report.sent:
        err.print(
            f"tagwatch: {report.sent - report.committed} messages were not committed in time", style="red"
        )
        raise typer.Exit(1)


def town(
    seed: Annotated[int, typer.Option(help="The same seed, the same town.")] = 1,
    out: Annotated[Path, typer.Option(help="Where to write it.")] = Path("town.geojson"),
) -> None:
    """Write the map of the fictional town as GeoJSON."""
    from sim.town import make_town
    from sim.town_map import write

    err = Console(stderr=True)
    try:
        count = write(make_town(seed), out)
    except OSError as error:
        err.print(f"tagwatch: the map can not be written: {error}", style="red", highlight=False)
        raise typer.Exit(1) from None
    err.print(f"{out}: {count:,} features", highlight=False)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console, transient=True
    )


def _clock(t_ms: int) -> str:
    return f"{datetime.fromtimestamp(t_ms / 1000, UTC).astimezone(LONDON):%a %d %b %H:%M}"


def _alert_line(out: Console, alert: dict[str, Any], now_ms: int | None = None) -> None:
    """One line: when it was told (or when it began), its state, whom it is about, what it says."""
    when = alert["start"] if now_ms is None else _clock(now_ms)
    whom = alert["wearer"]["name"] if alert["wearer"] else alert["device"]
    state = f"[{_STATE_STYLE[alert['state']]}]{alert['state']:<9}[/]"
    out.print(
        f"{when}  {state} #{alert['number']:<3} {whom}: {alert['sentence']}", highlight=False, soft_wrap=True
    )


def _show(out: Console, result: Any) -> None:
    if hasattr(result, "samples"):
        out.print(
            f"[bold]{result.log}[/bold]: {len(result.samples)} samples committed,"
            f" {len(result.drinking)} drinking events, {len(result.alerts)} alerts"
        )
        for alert in result.alerts:
            _alert_line(out, alert)
        for day in result.days:
            out.print(f"{day.day:%a %d %b}  {day.words}: {day.valid} of {day.half_hours} half-hours valid.")
        return
    out.print(
        f"[bold]{result.log}[/bold]: {len(result.positions)} positions committed,"
        f" {result.rejected_sentences} sentences rejected, {len(result.alerts)} alerts"
    )
    for alert in result.alerts:
        _alert_line(out, alert)
