"""An index for names whatever their case, and for the beginnings of names.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

FOLDED_NAMES = "ix_login_events_folded_username_timestamp_seq"


def upgrade() -> None:
    # SQLite looks up the spellings of a name in the index of names: one more costs it a seventh of its writes.
    if op.get_bind().dialect.name == "postgresql":
        parts = ['lower(username COLLATE "C")', "timestamp NULLS FIRST", "seq NULLS FIRST"]  # nulls: see 0004
        op.create_index(FOLDED_NAMES, "login_events", [sa.text(part) for part in parts])


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index(FOLDED_NAMES, "login_events")
