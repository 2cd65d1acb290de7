"""Files that came with orders, in pieces: what the second store has of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the table. It is filled where there is a second store."""
    op.create_table(
        "order_attachment_piece",
        sa.Column("attachment", sa.Text(), primary_key=True),
        sa.Column("n", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["attachment"], ["order_attachment.id"]),
    )


def downgrade() -> None:
    """An older program would leave the pieces of what it deletes."""
    raise NotImplementedError("this form of the store can not be taken back: restore a backup instead")
