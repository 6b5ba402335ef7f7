"""Indexes for names whatever their case, for the beginnings of names, and for names in errors and admin events.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NAMES = (("error_events", "username"), ("admin_events", "actor"), ("admin_events", "target"))
FOLDED_NAMES = "ix_login_events_folded_username_timestamp_seq"


def upgrade() -> None:
    # SQLite looks up the spellings of a name in the index of names: one more costs it a seventh of its writes.
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    order = " NULLS FIRST" if is_postgresql else ""  # see 0004
    time = [sa.text(f"timestamp{order}"), sa.text(f"seq{order}")]
    if is_postgresql:
        op.create_index(FOLDED_NAMES, "login_events", [sa.text('lower(username COLLATE "C")'), *time])
    for table, column in NAMES:  # few are stored: these cost nothing that can be measured
        op.create_index(f"ix_{table}_{column}_timestamp_seq", table, [column, *time])


def downgrade() -> None:
    for table, column in NAMES:
        op.drop_index(f"ix_{table}_{column}_timestamp_seq", table)
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index(FOLDED_NAMES, "login_events")
