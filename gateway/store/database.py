"""Opening the store: engine, migration, transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError, NoSuchTableError

from gateway import store_url
from gateway.store.dialect import WRITES, make_engine, unfit, url_of

HEAD = "0018"
"""The newest migration. Kept here so that a store that is up to date opens without loading the migration tool."""

MIGRATIONS = Path(__file__).parent / "migrations"


class StoreError(RuntimeError):
    """The store can not be opened; the text says why and what to do."""


class Store:
    """An open store. Several processes may hold the same one."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._writer = engine.execution_options(**{WRITES: True})

    @classmethod
    def open(cls, place: Path | str, *, busy_timeout_ms: int = 10_000) -> Store:
        """Open the store at ``place``, a SQLite file (made where missing) or a PostgreSQL URL, and migrate it.

        Raises StoreError where it can not be opened or comes from a newer version.
        """
        if isinstance(place, Path):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not place.exists():
                place.touch(mode=0o600)
        try:
            engine = make_engine(url_of(place), busy_timeout_ms)
        except ModuleNotFoundError:
            raise StoreError(
                "a store on PostgreSQL needs the library psycopg: pip install 'tagwatch[postgres]'"
            ) from None
        except ValueError as error:
            raise StoreError(str(error)) from None
        try:
            _migrate(engine)
        except DBAPIError as error:
            engine.dispose()
            raise StoreError(
                f"the store {store_url.shown(str(place))} can not be opened: {error.orig}"
            ) from error
        except StoreError:
            engine.dispose()
            raise
        return cls(engine)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that writes: on disk when the block has ended, undone when it raised."""
        with self._writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view; never blocks a writer, nor waits for one."""
        with self.engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Give back files and connections."""
        self.engine.dispose()


def _version(connection: Connection) -> str | None:
    try:
        if not inspect(connection).has_table("alembic_version"):
            return None
    except NoSuchTableError:
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _migrate(engine: Engine) -> None:
    with engine.begin() as connection:
        problem = unfit(connection)
        if problem is not None:
            raise StoreError(f"the store can not be kept there: {problem}")
        if _version(connection) == HEAD:
            return
    # Loaded only when there is something to do: a gateway that was killed must be back soon.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        version = _version(connection)  # another process may have migrated while this one waited
        if version == HEAD:
            return
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if version is not None and version not in known:
            raise StoreError(
                f"the store is of version {version}, which this program ({HEAD}) does not know: "
                "run the newer program, or restore the backup made before the upgrade"
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
