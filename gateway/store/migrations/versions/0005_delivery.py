"""Telling people of alerts: what is to be told, to whom it was, and who has acknowledged it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the tables. What was said before is on the page; nobody is told of it anew."""
    op.create_table(
        "telling",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("alert", _NUMBER, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["alert"], ["alert.number"]),
        sa.UniqueConstraint("alert", "revision", name="telling_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("telling_by_outcome", "telling", ["outcome", "alert", "id"], unique=False)
    op.create_table(
        "delivery",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("alert", _NUMBER, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False, unique=True),
        sa.Column("digest", sa.Boolean(), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sms_next_ms", sa.BigInteger(), nullable=False),
        sa.Column("sms_attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("done_ms", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["alert"], ["alert.number"]),
        sqlite_autoincrement=True,
    )
    op.create_index("delivery_by_outcome", "delivery", ["outcome", "contact", "next_ms"], unique=False)
    op.create_index("delivery_by_alert", "delivery", ["alert"], unique=False)
    op.create_table(
        "escalation",
        sa.Column("alert", _NUMBER, primary_key=True),
        sa.Column("route", sa.Text(), primary_key=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("began_ms", sa.BigInteger(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["alert"], ["alert.number"]),
    )
    op.create_index("escalation_by_outcome", "escalation", ["outcome", "next_ms"], unique=False)
    op.create_table(
        "acknowledgement",
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("alert", _NUMBER, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["alert"], ["alert.number"]),
        sqlite_autoincrement=True,
    )
    op.create_index("acknowledgement_by_alert", "acknowledgement", ["alert"], unique=False)
    op.create_table(
        "path",
        sa.Column("contact", sa.Text(), primary_key=True),
        sa.Column("failing_ms", sa.BigInteger(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("retry_ms", sa.BigInteger(), nullable=False),
        sa.Column("sent_ms", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
    )


def downgrade() -> None:
    """Who was told and who acknowledged is not written down anywhere else."""
    raise NotImplementedError("this form of the store can not be taken back: restore a backup instead")
