"""Alerts about an order under which nobody wears a tag, and when each order is to be looked at next."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """An alert may be of no device, and then of an order. Every order there is is looked at once."""
    op.create_table(
        "order_due",
        sa.Column("order_id", sa.Text(), primary_key=True),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
    )
    op.create_index("order_due_by_time", "order_due", ["due_ms"], unique=False)
    op.execute("INSERT INTO order_due (order_id, due_ms) SELECT DISTINCT order_id, 0 FROM order_version")
    op.add_column("alert", sa.Column("order_id", sa.Text(), nullable=True))
    op.create_index("alert_by_order", "alert", ["order_id"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        _device_may_be_none()
    else:
        op.alter_column("alert", "device", existing_type=sa.Text(), nullable=True)


def _device_may_be_none() -> None:
    """SQLite can not take back a NOT NULL, and a table that others refer to can not be made anew in a transaction.

    What its manual gives for changes that leave the rows as they are: the table's own words are written over.
    """
    connection = op.get_bind()
    asked = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'alert'"
    words = str(connection.exec_driver_sql(asked).scalar_one())
    form = int(connection.exec_driver_sql("PRAGMA schema_version").scalar_one())
    connection.exec_driver_sql("PRAGMA writable_schema=ON")
    connection.exec_driver_sql(
        "UPDATE sqlite_master SET sql = ? WHERE type = 'table' AND name = 'alert'",
        (words.replace("device TEXT NOT NULL", "device TEXT"),),
    )
    connection.exec_driver_sql(f"PRAGMA schema_version={form + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema=RESET")
    columns = {row[1]: row[3] for row in connection.exec_driver_sql("PRAGMA table_info(alert)")}
    if columns["device"]:
        raise RuntimeError("the table alert is not as an earlier version of this program has made it")


def downgrade() -> None:
    """Alerts of no device would be lost."""
    raise NotImplementedError("this form of the store can not be taken back: restore a backup instead")
