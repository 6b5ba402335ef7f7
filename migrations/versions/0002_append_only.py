"""Event rows are append-only: the database itself refuses to change or remove them.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = ("login_events", "error_events")
REFUSAL = "the audit trail is append-only"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"""
            CREATE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION '{REFUSAL}: % on % is refused', TG_OP, TG_TABLE_NAME
                    USING ERRCODE = 'restrict_violation';
            END $$
        """)
        for table in TABLES:
            op.execute(f"""
                CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
                FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change()
            """)
            # ALWAYS: session_replication_role = replica does not switch it off.
            op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only")
        op.execute("""
            CREATE TRIGGER trail_head_stays BEFORE DELETE OR TRUNCATE ON trail_head
            FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change()
        """)
        op.execute("ALTER TABLE trail_head ENABLE ALWAYS TRIGGER trail_head_stays")
        return
    op.execute(f"""
        CREATE TRIGGER trail_head_stays BEFORE DELETE ON trail_head
        BEGIN SELECT RAISE(ABORT, '{REFUSAL}: DELETE on trail_head is refused'); END
    """)
    for table in TABLES:
        for change in ("UPDATE", "DELETE"):
            op.execute(f"""
                CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table}
                BEGIN SELECT RAISE(ABORT, '{REFUSAL}: {change} on {table} is refused'); END
            """)
        # INSERT OR REPLACE removes a row without asking the trigger for DELETE.
        op.execute(f"""
            CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table}
            WHEN EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id) OR EXISTS (SELECT 1 FROM {table} WHERE seq = NEW.seq)
            BEGIN SELECT RAISE(ABORT, '{REFUSAL}: this id or seq is taken on {table}'); END
        """)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in TABLES:
            op.execute(f"DROP TRIGGER {table}_append_only ON {table}")
        op.execute("DROP TRIGGER trail_head_stays ON trail_head")
        op.execute("DROP FUNCTION audit_refuse_change()")
        return
    for table in TABLES:
        for name in ("no_update", "no_delete", "no_replace"):
            op.execute(f"DROP TRIGGER {table}_{name}")
    op.execute("DROP TRIGGER trail_head_stays")
