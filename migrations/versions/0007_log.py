"""The log: leaves, tiles, checkpoints, erasures. And columns that can be erased can be null.

Revision ID: 0007
Revises: 0006
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from audit_service.storage.append_only import may_update
from audit_service.storage.schema import require_told

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
HASH = sa.LargeBinary(32)
ERASABLE = (
    ("login_events", "username", sa.String(255), "VARCHAR(255)"),
    ("error_events", "message", sa.Text(), "TEXT"),
    ("error_events", "traceback", sa.Text(), "TEXT"),
    ("admin_events", "actor", sa.String(255), "VARCHAR(255)"),
)

LOST = {
    "checkpoints of the log": "SELECT count(*) FROM trail_checkpoints",
    "what was erased from events": "SELECT count(*) FROM trail_erasures",
}


def upgrade() -> None:
    set_nullable(is_nullable=True)
    op.create_table(
        "trail_log",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("origin", sa.String(255), nullable=False),
        sa.Column("log_id", sa.String(16), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root", HASH, nullable=False),
        sa.Column("floor", sa.BigInteger, nullable=False),
        sa.Column("declared", sa.BigInteger, nullable=False),
        sa.Column("problem", sa.String(32)),
        sa.Column("problem_detail", sa.Text),
        sa.Column("problem_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_trail_log"),
        sa.CheckConstraint("id = 1", name=op.f("ck_trail_log_one_row")),
    )
    op.create_table(
        "trail_leaves",
        sa.Column("seq", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("hash", HASH, nullable=False),
        sa.Column("opening", HASH),
        sa.PrimaryKeyConstraint("seq", name="pk_trail_leaves"),
    )
    op.create_table(
        "trail_tiles",
        sa.Column("level", sa.SmallInteger, nullable=False, autoincrement=False),
        sa.Column("n", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("hashes", sa.LargeBinary(8192), nullable=False),
        sa.PrimaryKeyConstraint("level", "n", name="pk_trail_tiles"),
    )
    op.create_table(
        "trail_erasures",
        sa.Column("seq", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("field_group", sa.String(8), nullable=False),
        sa.Column("commitment", HASH, nullable=False),
        sa.Column("by_seq", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("seq", "field_group", name="pk_trail_erasures"),
    )
    op.create_table(
        "trail_checkpoints",
        sa.Column("log_id", sa.String(16), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("signed_at", TIME, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("log_id", "size", name="pk_trail_checkpoints"),
    )
    op.create_table(
        "trail_confirmations",
        sa.Column("log_id", sa.String(16), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("confirmed_at", TIME, nullable=False),
        sa.Column("line", sa.Text),
        sa.PrimaryKeyConstraint("log_id", "size", "name", name="pk_trail_confirmations"),
    )
    op.create_index("ix_trail_confirmations_newest", "trail_confirmations", ["log_id", "name", "size"])


def downgrade() -> None:
    require_told(revision, LOST)
    for table in ("confirmations", "checkpoints", "erasures", "tiles", "leaves", "log"):
        op.drop_table(f"trail_{table}")
    fill_erased()
    set_nullable(is_nullable=False)


def fill_erased() -> None:
    """Leave a text without a character where something was erased: the columns are not null before 0007."""
    connection = op.get_bind()
    for table, column, _kind, _name in ERASABLE:
        erased = f"{column} IS NULL"
        if connection.execute(sa.text(f"SELECT 1 FROM {table} WHERE {erased} LIMIT 1")).first():
            with may_update(connection, table):
                op.execute(f"UPDATE {table} SET {column} = '' WHERE {erased}")


def set_nullable(*, is_nullable: bool) -> None:
    """Let what can be erased be null, or not; on SQLite without a copy of the table.

    What SQLite's manual describes for constraints that are taken away (ALTER TABLE, "Making Other Kinds Of Table Schema
    Changes"): the text of the table is changed, of which no row depends.
    """
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        for table, column, kind, _name in ERASABLE:
            op.alter_column(table, column, existing_type=kind, nullable=is_nullable)
        return
    driver: Any = connection.connection.dbapi_connection
    (version,) = driver.execute("PRAGMA schema_version").fetchone()
    driver.execute("PRAGMA writable_schema=ON")
    for table, column, _kind, name in ERASABLE:
        with_null, without = f"{column} {name}", f"{column} {name} NOT NULL"
        before, after = (without, with_null) if is_nullable else (with_null, without)
        change = "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = ?"
        driver.execute(change, (f"{before},", f"{after},", table))
    driver.execute(f"PRAGMA schema_version={version + 1}")
    driver.execute("PRAGMA writable_schema=OFF")
