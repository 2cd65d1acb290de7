"""Devices that said more than any may, and are kept out of the embedded broker for a while."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "barred",
        sa.Column("device", sa.Text(), primary_key=True),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["device.id"]),
    )


def downgrade() -> None:
    """The keys of the form before are sealed all the same."""
    raise NotImplementedError("this form of the store can not be taken back: restore a backup instead")
