"""Who changed an order, when and why: beside each version that a person or a message made, and what made none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the table. Of the versions that are there already nobody has recorded who made them."""
    op.create_table(
        "order_change",
        sa.Column("id", _SERIAL, primary_key=True),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("last_version", sa.Integer(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("effective_ms", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("order_change_by_order", "order_change", ["order_id", "id"])


def downgrade() -> None:
    """Who varied an order, and why, would be forgotten."""
    raise NotImplementedError("this form of the store can not be taken back: restore a backup instead")
