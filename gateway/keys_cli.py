"""The commands about keys: `tagwatch keys`."""

from __future__ import annotations

import typer

from gateway.command_line import DataDir, opened, refusing, settings_of

app = typer.Typer(
    help="The master key, under which all other keys are sealed; and the authority.", no_args_is_help=True
)


@app.command("show")
def show(data_dir: DataDir = None) -> None:
    """By which 8 digits the master key is known (never the key itself): a backup names the one it belongs to."""
    from gateway.seal import SealError, Vault

    with refusing(SealError):
        vault = Vault.open(settings_of(data_dir).master_key_path)
    typer.echo(vault.present)


@app.command("rotate-master")
def rotate_master(data_dir: DataDir = None) -> None:
    """Seal every key under a new master key, while the gateway runs or not. Keep a copy of the new file apart."""
    from gateway import keys
    from gateway.seal import SealError

    with opened(data_dir, SealError, OSError) as (settings, store):
        done = keys.change_master(settings, store)
    typer.echo(
        f"master key {done.new} takes the place of {done.old}; {done.keys} devices' keys are sealed anew"
    )
    typer.echo(
        f"Keep a copy of {settings.master_key_path} apart from the backups; what was backed up before opens with "
        f"{done.old} only, so keep that copy as long as those backups."
    )
