"""Access: admin events, networks of logins, sessions that end, tokens that expire, refused attempts.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from audit_service.storage.schema import require_told

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
REFUSAL = "the audit trail is append-only"
IS_FAILURE = sa.text("outcome = 'failure'")
LOST = {
    "admin events": "SELECT count(*) FROM admin_events",
    "refused attempts that are counted": "SELECT count(*) FROM audit_refused_attempts",
    "that an account is disabled, so that it is let in again": """
        SELECT count(*) FROM audit_accounts WHERE disabled_at IS NOT NULL
    """,
    "that a token expires": "SELECT count(*) FROM audit_tokens WHERE expires_at IS NOT NULL",
}


def upgrade() -> None:
    op.create_table(
        "admin_events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("timestamp", TIME, nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("remote_addr", sa.String(45).with_variant(postgresql.INET(), "postgresql")),
        sa.Column("request_id", sa.String(128)),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("target", sa.String(255)),
        sa.Column("details", sa.JSON().with_variant(postgresql.JSONB(), "postgresql")),
        sa.PrimaryKeyConstraint("id", name="pk_admin_events"),
        sa.UniqueConstraint("seq", name="uq_admin_events_seq"),
    )
    op.create_index("ix_admin_events_timestamp_seq", "admin_events", ["timestamp", "seq"])
    refuse_changes()
    op.add_column("login_events", sa.Column("network", sa.String(43)))
    op.create_index(
        "ix_login_events_network_timestamp",
        "login_events",
        ["network", "timestamp"],
        postgresql_where=IS_FAILURE,
        sqlite_where=IS_FAILURE,
    )
    op.add_column("audit_accounts", sa.Column("session_key", sa.String(32), nullable=False, server_default=""))
    op.add_column("audit_accounts", sa.Column("disabled_at", TIME))
    op.add_column("audit_tokens", sa.Column("expires_at", TIME))
    op.add_column("audit_tokens", sa.Column("last_used_at", TIME))
    op.create_table(
        "audit_ended_sessions",
        sa.Column("session_id", sa.String(32), nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.PrimaryKeyConstraint("session_id", name="pk_audit_ended_sessions"),
    )
    op.create_table(
        "audit_refused_attempts",
        sa.Column("network", sa.String(43), nullable=False),
        sa.Column("username", sa.String(255), nullable=False),
        sa.Column("app", sa.String(64), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_at", TIME, nullable=False),
        sa.Column("last_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("network", "username", "app", name="pk_audit_refused_attempts"),
    )


def refuse_changes() -> None:
    """As 0002 does for the other events."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("""
            CREATE TRIGGER admin_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON admin_events
            FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change()
        """)
        op.execute("ALTER TABLE admin_events ENABLE ALWAYS TRIGGER admin_events_append_only")
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(f"""
            CREATE TRIGGER admin_events_no_{change.lower()} BEFORE {change} ON admin_events
            BEGIN SELECT RAISE(ABORT, '{REFUSAL}: {change} on admin_events is refused'); END
        """)
    op.execute(f"""
        CREATE TRIGGER admin_events_no_replace BEFORE INSERT ON admin_events
        WHEN EXISTS (SELECT 1 FROM admin_events WHERE id = NEW.id)
            OR EXISTS (SELECT 1 FROM admin_events WHERE seq = NEW.seq)
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}: this id or seq is taken on admin_events'); END
    """)


def downgrade() -> None:
    """Removes the admin events from the trail; their positions stay empty."""
    require_told(revision, LOST)
    op.drop_table("audit_refused_attempts")
    op.drop_table("audit_ended_sessions")
    for column in ("expires_at", "last_used_at"):
        op.drop_column("audit_tokens", column)
    for column in ("session_key", "disabled_at"):
        op.drop_column("audit_accounts", column)
    op.drop_index("ix_login_events_network_timestamp", "login_events")
    op.drop_column("login_events", "network")
    op.drop_table("admin_events")
