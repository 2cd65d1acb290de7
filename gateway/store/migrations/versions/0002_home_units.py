"""Kinds of devices, where home units are installed, and when each device was heard last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add them; a device was heard last when the newest of its envelopes came."""
    op.add_column("device", sa.Column("kind", sa.Text(), nullable=False, server_default="gps_tag"))
    op.create_table(
        "heard",
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["device"], ["device.id"]),
        sa.PrimaryKeyConstraint("device"),
    )
    op.execute(
        "INSERT INTO heard (device, received_ms) SELECT device, max(received_ms) FROM envelope GROUP BY device"
    )
    op.create_table(
        "installation",
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("activation", sa.Text(), nullable=False),
        sa.Column("installed_ms", sa.BigInteger(), nullable=False),
        sa.Column("removed_ms", sa.BigInteger(), nullable=True),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["unit"], ["device.id"]),
        sa.ForeignKeyConstraint(["activation"], ["activation.id"]),
        sa.PrimaryKeyConstraint("unit", "activation", "installed_ms"),
    )


def downgrade() -> None:
    """Where home units stand is not written down anywhere else."""
    raise NotImplementedError("this form of the store can not be taken back: restore a backup instead")
