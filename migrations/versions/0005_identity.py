"""A trail has an identity, and more ways around append-only are closed.

Revision ID: 0005
Revises: 0004
"""

from datetime import UTC, datetime
from uuid import uuid4

import sqlalchemy as sa
from alembic import op

from audit_service.storage.schema import require_told

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

EVENTS = ("login_events", "error_events", "admin_events")
LOST = {"the identity by which a spool knows this trail": "SELECT count(*) FROM trail_head WHERE size > 0"}
REFUSAL = "the audit trail is append-only"


def upgrade() -> None:
    identity = op.create_table(
        "trail_identity",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("trail_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id = 1", name="ck_trail_identity_one_row"),
        sa.PrimaryKeyConstraint("id", name="pk_trail_identity"),
    )
    op.bulk_insert(identity, [{"id": 1, "trail_id": uuid4(), "created_at": datetime.now(UTC)}])
    if op.get_bind().dialect.name == "postgresql":
        protect_on_postgresql()
    else:
        protect_on_sqlite()


def protect_on_postgresql() -> None:
    for table in EVENTS:
        # A statement that names another table reaches these rows, too: one that they are a partition or a child of.
        always(table, f"{table}_rows_stay", "BEFORE UPDATE OR DELETE", "FOR EACH ROW")
    always("trail_identity", "trail_identity_stays", "BEFORE UPDATE OR DELETE OR TRUNCATE", "FOR EACH STATEMENT")
    always("trail_head", "trail_head_grows", "BEFORE UPDATE", "FOR EACH ROW WHEN (NEW.size < OLD.size)")


def always(table: str, name: str, when: str, scope: str) -> None:
    """Make a trigger that ``session_replication_role = replica`` does not switch off."""
    op.execute(f"CREATE TRIGGER {name} {when} ON {table} {scope} EXECUTE FUNCTION audit_refuse_change()")
    op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def protect_on_sqlite() -> None:
    for table in EVENTS:
        # INSERT OR REPLACE on a rowid that is taken removes its row, whatever the new row's id and seq are. Here
        # NEW.rowid is -1 unless the statement gives one: so no row may have -1.
        op.execute(f"""
            CREATE TRIGGER {table}_no_rowid BEFORE INSERT ON {table}
            WHEN EXISTS (SELECT 1 FROM {table} WHERE rowid = NEW.rowid)
            BEGIN SELECT RAISE(ABORT, '{REFUSAL}: this rowid is taken on {table}'); END
        """)
        op.execute(f"""
            CREATE TRIGGER {table}_rowid_counts AFTER INSERT ON {table} WHEN NEW.rowid < 1
            BEGIN SELECT RAISE(ABORT, '{REFUSAL}: this rowid is not for {table}'); END
        """)
    for table in ("trail_head", "trail_identity"):
        op.execute(f"""
            CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table}
            BEGIN SELECT RAISE(ABORT, '{REFUSAL}: INSERT on {table} is refused'); END
        """)
    for change in ("UPDATE", "DELETE"):
        op.execute(f"""
            CREATE TRIGGER trail_identity_no_{change.lower()} BEFORE {change} ON trail_identity
            BEGIN SELECT RAISE(ABORT, '{REFUSAL}: {change} on trail_identity is refused'); END
        """)
    op.execute(f"""
        CREATE TRIGGER trail_head_grows BEFORE UPDATE ON trail_head
        WHEN NEW.size < OLD.size OR typeof(NEW.size) <> 'integer' -- SQLite stores what it is given
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}: UPDATE on trail_head is refused'); END
    """)


def downgrade() -> None:
    require_told(revision, LOST)
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    for table in EVENTS:
        for name in (f"{table}_rows_stay",) if on_postgresql else (f"{table}_no_rowid", f"{table}_rowid_counts"):
            op.execute(f"DROP TRIGGER {name}" + (f" ON {table}" if on_postgresql else ""))
    op.execute("DROP TRIGGER trail_head_grows" + (" ON trail_head" if on_postgresql else ""))
    if not on_postgresql:
        op.execute("DROP TRIGGER trail_head_no_replace")
    op.drop_table("trail_identity")
