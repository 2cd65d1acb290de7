"""The second copy: which store belongs to which, and what has changed since it was made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the tables. They are filled only where there is a replica."""
    op.create_table(
        "replica",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("value", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "replica_change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("of_table", sa.Text(), nullable=False),
        sa.Column("row_key", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
