"""Indexes for names whatever their case, for names in errors and admin events, and for what fails most; sessions.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NAMES = (("error_events", "username"), ("admin_events", "actor"), ("admin_events", "target"))
TIME = sa.DateTime(timezone=True)
FAILURES = "ix_login_events_failures"
FOLDED_NAMES = "ix_login_events_folded_username_timestamp_seq"


def upgrade() -> None:
    # SQLite looks up the spellings of a name in the index of names: one more costs it a seventh of its writes.
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    order = " NULLS FIRST" if is_postgresql else ""  # see 0004
    time = [sa.text(f"timestamp{order}"), sa.text(f"seq{order}")]
    if is_postgresql:
        op.create_index(FOLDED_NAMES, "login_events", [sa.text('lower(username COLLATE "C")'), *time])
        replace_index_of_failures(["username", "network", "reason"])
    for table, column in NAMES:  # few are stored: these cost nothing that can be measured
        op.create_index(f"ix_{table}_{column}_timestamp_seq", table, [column, *time])
    op.create_table(
        "audit_sessions",
        sa.Column("session_id", sa.String(32), nullable=False),
        sa.Column("username", sa.String(255), nullable=False),
        sa.Column("session_key", sa.String(32), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.Column("remote_addr", sa.String(45).with_variant(postgresql.INET(), "postgresql")),
        sa.Column("user_agent", sa.String(512)),
        sa.PrimaryKeyConstraint("session_id", name="pk_audit_sessions"),
    )


def downgrade() -> None:
    op.drop_table("audit_sessions")
    for table, column in NAMES:
        op.drop_index(f"ix_{table}_{column}_timestamp_seq", table)
    if op.get_bind().dialect.name == "postgresql":
        replace_index_of_failures([])
        op.drop_index(FOLDED_NAMES, "login_events")


def replace_index_of_failures(include: list[str]) -> None:
    """Let the index of failures have these columns, too: failures are counted by them without a look at their rows."""
    op.drop_index(FAILURES, "login_events")
    time = [sa.text("timestamp NULLS FIRST"), sa.text("seq NULLS FIRST")]
    where = sa.text("outcome = 'failure'")
    op.create_index(FAILURES, "login_events", time, postgresql_where=where, postgresql_include=include)
