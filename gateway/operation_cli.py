"""The commands of whoever keeps a gateway running: `tagwatch doctor`, `tagwatch settings`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gateway.doctor import Finding, Severity

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The gateway's folder (TAGWATCH_DATA_DIR; default ./tagwatch-data)."),
]
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


def doctor(
    data_dir: DataDir = None,
    thorough: Annotated[
        bool, typer.Option(help="Read the whole store through, however long it takes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Look whether everything is as it should be, and say what to do where it is not.

    Ends with 0 where nothing is to be done, 1 where something should be looked at, 2 where something does not work.
    """
    from gateway import doctor as conclusions
    from gateway.doctor_facts import gather

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
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array on standard output.")] = False,
) -> None:
    """Tell every setting: what it means, its default, what it is here, and where that comes from."""
    from gateway.settings import SettingsError
    from gateway.settings_told import template as file
    from gateway.settings_told import told

    if template:
        typer.echo(file(), nl=False)
        return
    try:
        every = told(data_dir)
    except SettingsError as error:
        typer.secho(f"tagwatch: {error}", err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from None
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in every], indent=1))
        return
    for one in every:
        typer.secho(f"{one.name} = {json.dumps(one.value)}", bold=one.source != "default", nl=False)
        typer.echo(f"   from {one.source}" if one.source != "default" else "")
        typer.echo(f"    {one.description}")
        if one.source != "default":
            typer.echo(f"    Default: {json.dumps(one.default)}")


def _tell(findings: Sequence[Finding]) -> None:
    for finding in findings:
        typer.secho(f"{finding.severity.upper():8}", fg=_COLOURS[finding.severity], nl=False)
        typer.echo(f" {finding.check:13} {finding.fact}")
        if finding.why:
            typer.echo(f"{'':23}Why: {finding.why}")
        if finding.remedy:
            typer.echo(f"{'':23}Do:  {finding.remedy}")
