"""The first tables: the trail, accounts, tokens.

Revision ID: 0001
Revises: -
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from audit_service.storage.schema import require_told

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
ADDRESS = sa.String(45).with_variant(postgresql.INET(), "postgresql")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def event_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("timestamp", TIME, nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("remote_addr", ADDRESS),
        sa.Column("request_id", sa.String(128)),
    ]


def upgrade() -> None:
    op.create_table(
        "login_events",
        *event_columns(),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(32)),
        sa.Column("username", sa.String(255), nullable=False),
        sa.Column("user_agent", sa.String(512)),
        sa.Column("method", sa.String(32)),
        sa.Column("details", JSON),
        sa.PrimaryKeyConstraint("id", name="pk_login_events"),
        sa.UniqueConstraint("seq", name="uq_login_events_seq"),
    )
    op.create_index("ix_login_events_timestamp_seq", "login_events", ["timestamp", "seq"])
    op.create_index("ix_login_events_username_timestamp_seq", "login_events", ["username", "timestamp", "seq"])
    op.create_table(
        "error_events",
        *event_columns(),
        sa.Column("exception_type", sa.String(255), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("traceback", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("http_method", sa.String(16)),
        sa.Column("path", sa.Text()),
        sa.Column("endpoint", sa.String(255)),
        sa.Column("username", sa.String(255)),
        sa.PrimaryKeyConstraint("id", name="pk_error_events"),
        sa.UniqueConstraint("seq", name="uq_error_events_seq"),
    )
    op.create_index("ix_error_events_timestamp_seq", "error_events", ["timestamp", "seq"])
    head = op.create_table(
        "trail_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name="ck_trail_head_one_row"),
        sa.PrimaryKeyConstraint("id", name="pk_trail_head"),
    )
    op.bulk_insert(head, [{"id": 1, "size": 0}])
    op.create_table(
        "audit_accounts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("username", sa.String(255), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_accounts"),
        sa.UniqueConstraint("username", name="uq_audit_accounts_username"),
    )
    op.create_table(
        "audit_tokens",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("revoked_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_audit_tokens"),
        sa.UniqueConstraint("name", name="uq_audit_tokens_name"),
        sa.UniqueConstraint("token_hash", name="uq_audit_tokens_token_hash"),
    )


LOST = {
    "logins, failed logins and logouts": "SELECT count(*) FROM login_events",
    "errors": "SELECT count(*) FROM error_events",
    "accounts": "SELECT count(*) FROM audit_accounts",
    "tokens": "SELECT count(*) FROM audit_tokens",
}


def downgrade() -> None:
    require_told(revision, LOST)
    for table in ("audit_tokens", "audit_accounts", "trail_head", "error_events", "login_events"):
        op.drop_table(table)
