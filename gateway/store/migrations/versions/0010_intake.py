"""Orders as they come in: who may send them, their messages and attachments, and tasks for people."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "order_client",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("added_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at_ms", sa.BigInteger()),
    )
    op.create_table(
        "order_token",
        sa.Column("hash", sa.Text(), primary_key=True),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["client"], ["order_client.name"]),
    )
    op.create_index("order_token_by_end", "order_token", ["expires_ms"])
    op.create_table(
        "order_case",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("wearer", sa.Text()),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("added_at_ms", sa.BigInteger(), nullable=False),
    )
    op.create_index("order_case_by_wearer", "order_case", ["wearer"])
    op.create_table(
        "order_identity",
        sa.Column("case_id", sa.Text(), primary_key=True),
        sa.Column("token", sa.Text(), primary_key=True),
        sa.ForeignKeyConstraint(["case_id"], ["order_case.id"]),
    )
    op.create_index("order_identity_by_token", "order_identity", ["token"])
    op.create_table(
        "order_message",
        sa.Column("id", _SERIAL, primary_key=True),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["order_case.id"]),
        sa.UniqueConstraint("operation", "content", name="order_message_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("order_message_by_case", "order_message", ["case_id", "id"])
    op.create_table(
        "order_attachment",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["order_case.id"]),
        sa.UniqueConstraint("case_id", "file_name", "sha256", name="order_attachment_once"),
    )
    op.create_table(
        "order_task",
        sa.Column("id", _SERIAL, primary_key=True),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("raised_ms", sa.BigInteger(), nullable=False),
        sa.Column("done_ms", sa.BigInteger()),
        sa.Column("done_by", sa.Text()),
        sa.Column("note", sa.Text()),
        sa.UniqueConstraint("order_id", "kind", "about", name="order_task_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("order_task_by_state", "order_task", ["done_ms", "id"])


def downgrade() -> None:
    """What courts have sent would be lost."""
    raise NotImplementedError("this form of the store can not be taken back: restore a backup instead")
