"""The commands about keys: `tagwatch keys`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="The master key, under which all other keys are sealed; and the authority.", no_args_is_help=True
)

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The gateway's folder (TAGWATCH_DATA_DIR; default ./tagwatch-data)."),
]


@app.command("show")
def show(data_dir: DataDir = None) -> None:
    """By which 8 digits the master key is known (never the key itself): a backup names the one it belongs to."""
    from gateway.seal import SealError, Vault
    from gateway.settings import Settings, SettingsError

    try:
        vault = Vault.open(Settings.load(data_dir).master_key_path)
    except (SettingsError, SealError) as error:
        typer.secho(f"tagwatch: {error}", err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from None
    typer.echo(vault.present)


@app.command("rotate-master")
def rotate_master(data_dir: DataDir = None) -> None:
    """Seal every key under a new master key, while the gateway runs or not. Keep a copy of the new file apart."""
    from gateway import keys
    from gateway.seal import SealError
    from gateway.settings import Settings, SettingsError
    from gateway.store import Store, StoreError

    try:
        settings = Settings.load(data_dir)
        store = Store.open(settings.store_place, busy_timeout_ms=settings.busy_timeout_ms)
        try:
            done = keys.change_master(settings, store)
        finally:
            store.close()
    except (SettingsError, StoreError, SealError, OSError) as error:
        typer.secho(f"tagwatch: {error}", err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from None
    typer.echo(
        f"master key {done.new} takes the place of {done.old}; {done.keys} devices' keys are sealed anew"
    )
    typer.echo(
        f"Keep a copy of {settings.master_key_path} apart from the backups; what was backed up before opens with "
        f"{done.old} only, so keep that copy as long as those backups."
    )
