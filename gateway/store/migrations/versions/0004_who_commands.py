"""Who gave a command, and whether the device has lost what it set."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns. Only the gateway gives the time; who gave the others was not written down."""
    op.add_column("command", sa.Column("given_by", sa.Text(), nullable=False, server_default=""))
    op.add_column("command", sa.Column("lost", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("UPDATE command SET given_by = 'gateway' WHERE name = 'time'")


def downgrade() -> None:
    """Who commanded is not written down anywhere else."""
    raise NotImplementedError("this form of the store can not be taken back: restore a backup instead")
