"""Each change that is noted for the second store has a random mark, beside its number."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the column. The triggers go, and are made anew with the first start: then the copy is made whole once."""
    connection = op.get_bind()
    postgresql = connection.dialect.name == "postgresql"
    asked = (
        "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal AND tgrelid IN "
        "(SELECT oid FROM pg_class WHERE relnamespace = current_schema()::regnamespace)"
        if postgresql
        else "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'"
    )
    for name, table in connection.exec_driver_sql(asked).all():
        if name.startswith("copy_"):
            op.execute(f"DROP TRIGGER {name}" + (f" ON {table}" if postgresql else ""))
            if postgresql:
                op.execute(f"DROP FUNCTION {name}()")
    if connection.exec_driver_sql("SELECT 1 FROM replica WHERE name = 'pair'").first():
        least = connection.exec_driver_sql("SELECT min(id) FROM replica_change").scalar()
        counted = (
            "SELECT last_value FROM replica_change_id_seq"
            if postgresql
            else "SELECT seq FROM sqlite_sequence WHERE name = 'replica_change'"
        )
        forgotten = least - 1 if least is not None else connection.exec_driver_sql(counted).scalar() or 0
        op.execute(f"INSERT INTO replica (name, value) VALUES ('forgotten', {int(forgotten):d})")
    op.add_column("replica_change", sa.Column("mark", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    """An older program could not tell whether a copy is this store's."""
    raise NotImplementedError("this form of the store can not be taken back: restore a backup instead")
