"""Keys and certificates of devices that are to come, and those that were: while one is changed both are known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the tables. They are filled only where a key or a certificate is changed."""
    op.create_table(
        "device_key",
        sa.Column("device", sa.Text(), primary_key=True),
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("use", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("over_air", sa.Boolean(), nullable=False),
        sa.Column("made_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("from_ms", sa.BigInteger()),
        sa.Column("until_ms", sa.BigInteger()),
        sa.ForeignKeyConstraint(["device"], ["device.id"]),
    )
    op.create_index("device_key_by_use", "device_key", ["use", "device", "number"])
    op.create_table(
        "device_certificate",
        sa.Column("device", sa.Text(), primary_key=True),
        sa.Column("serial", sa.Text(), primary_key=True),
        sa.Column("use", sa.Text(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=False),
        sa.Column("made_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger()),
        sa.ForeignKeyConstraint(["device"], ["device.id"]),
    )


def downgrade() -> None:
    """An older program would refuse what a device says under its new key."""
    raise NotImplementedError("this form of the store can not be taken back: restore a backup instead")
