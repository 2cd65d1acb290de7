"""Enrolment bundles: which officer has one, for which visits, and what it was used for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the tables. No bundle was handed out yet."""
    op.create_table(
        "bundle",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("issued_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.Column("orders", sa.Text(), nullable=False),
        sa.Column("devices", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["account.name"]),
    )
    op.create_table(
        "bundle_visit",
        sa.Column("bundle", sa.Text(), primary_key=True),
        sa.Column("order_id", sa.Text(), primary_key=True),
        sa.Column("visit", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["bundle"], ["bundle.id"]),
    )


def downgrade() -> None:
    """Which keys were handed out to whom would be forgotten."""
    raise NotImplementedError("this form of the store can not be taken back: restore a backup instead")
