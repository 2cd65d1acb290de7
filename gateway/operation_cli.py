"""The commands of whoever keeps a gateway running: `tagwatch doctor`, `tagwatch settings`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from gateway.command_line import AsJson, DataDir, Refused, refusing, settings_of
from gateway.findings import Finding, Severity

_ANSWER_S = 5.0
_TAKEN_OVER_S = 2.5
"""The ingest looks every second."""
_BASES = {
    "synchronised": "a time server",
    "box": "the machine's own clock",
    "tags": "what tags' receivers say: at least so late",
    "floor": "what was stamped last: at least so late",
    "stepped": "whoever steps the clock",
}
_COLOURS: dict[Severity, str] = {
    "problem": typer.colors.RED,
    "warning": typer.colors.YELLOW,
    "unknown": typer.colors.YELLOW,
    "note": typer.colors.CYAN,
    "good": typer.colors.GREEN,
}


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(doctor)
    app.command()(settings)
    app.command()(clock)
    app.command("judge-again")(judge_again)


def doctor(
    data_dir: DataDir = None,
    thorough: Annotated[
        bool, typer.Option(help="Read the whole store through, however long it takes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look whether everything is as it should be, and say what to do where it is not.

    Ends with 0 where nothing is to be done, 1 where something should be looked at, 2 where something does not work.
    """
    from gateway.doctor import conclusions
    from gateway.doctor.gathering import gather

    findings = conclusions.examine(gather(data_dir, thorough=thorough))
    if as_json:
        typer.echo(json.dumps(conclusions.as_json(findings), indent=1))
    else:
        _tell(findings)
    raise typer.Exit(conclusions.exit_code(findings))


def settings(
    data_dir: DataDir = None,
    template: Annotated[
        bool,
        typer.Option("--template", help="Write a settings file with every setting, explained, on stdout."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell every setting: what it means, its default, what it is here, and where that comes from."""
    from gateway.settings import SettingsError
    from gateway.settings_told import template as file
    from gateway.settings_told import told

    if template:
        typer.echo(file(), nl=False)
        return
    with refusing(SettingsError):
        every = told(data_dir)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in every], indent=1))
        return
    for one in every:
        typer.secho(f"{one.name} = {json.dumps(one.value)}", bold=one.source != "default", nl=False)
        typer.echo(f"   from {one.source}" if one.source != "default" else "")
        typer.echo(f"    {one.description}")
        if one.source != "default":
            typer.echo(f"    Default: {json.dumps(one.default)}")


def clock(
    believe: Annotated[
        bool,
        typer.Option(
            "--believe", help="The clock of this machine is right now: the gateway takes its time from it."
        ),
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Tell what time the gateway takes it for, upon what that rests, and what speaks against it.

    Ends with 0 where it is certain, 1 where it is not, 2 where the gateway does not answer.
    """
    from gateway import gateway_time
    from gateway.clock import utc_text
    from gateway.findings import ask_ingest
    from gateway.settings import Settings, SettingsError
    from gateway.store import Store, StoreError

    with refusing(SettingsError, StoreError, code=2):
        chosen = Settings.load(data_dir)
        if believe:
            store = Store.open(chosen.store_place, busy_timeout_ms=chosen.busy_timeout_ms)
            gateway_time.believe(store)
            store.close()
            time.sleep(_TAKEN_OVER_S)
    said, facts = ask_ingest(chosen, _ANSWER_S)
    if said is None or said["now_ms"] is None:
        raise Refused(facts.problem or "nobody has told it the time", 2)
    told = said["time"] or {
        "basis": "stepped",
        "known": True,
        "certain": True,
        "doubt": "",
        "box_off_s": None,
    }
    if as_json:
        typer.echo(json.dumps({"now": utc_text(said["now_ms"]), **told}))
    else:
        typer.echo(f"{utc_text(said['now_ms'])} by {_BASES[told['basis']]}")
        if told["box_off_s"]:
            typer.echo(f"This machine's clock is {told['box_off_s']:+.3f} s off that.")
        if told["doubt"]:
            typer.secho(f"In doubt: {told['doubt']}", fg=typer.colors.RED)
    raise typer.Exit(0 if told["certain"] else 1)


def _tell(findings: Sequence[Finding]) -> None:
    for finding in findings:
        typer.secho(f"{finding.severity.upper():8}", fg=_COLOURS[finding.severity], nl=False)
        typer.echo(f" {finding.check:13} {finding.fact}")
        if finding.why:
            typer.echo(f"{'':23}Why: {finding.why}")
        if finding.remedy:
            typer.echo(f"{'':23}Do:  {finding.remedy}")


def judge_again(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Judge those wearers again whom the gateway has put aside because it failed at them; says whom.

    A newer version does that by itself. Ends with 2 where the gateway does not answer.
    """
    from gateway.control import Control, ControlError

    control = Control(settings_of(data_dir).control_path, timeout_s=_ANSWER_S)
    try:
        with refusing(ControlError, code=2):
            names = control.ask({"do": "judge_again"})["put_aside"]
    finally:
        control.close()
    typer.echo(json.dumps(names) if as_json else "\n".join(names) or "nobody was put aside")
