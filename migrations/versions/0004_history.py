"""Indexes for the history: each filter that is used alone has its events in the order of time.

Revision ID: 0004
Revises: 0003
"""

import ipaddress
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_login_events_username_timestamp_seq": ("login_events", "username", None),
    "ix_login_events_remote_addr_timestamp_seq": ("login_events", "remote_addr", None),
    "ix_login_events_network_timestamp_seq": ("login_events", "network", None),
    "ix_login_events_app_timestamp_seq": ("login_events", "app", None),
    "ix_login_events_method_timestamp_seq": ("login_events", "method", None),
    "ix_login_events_reason_timestamp_seq": ("login_events", "reason", "reason IS NOT NULL"),
    "ix_login_events_failures": ("login_events", None, "outcome = 'failure'"),
    "ix_login_events_logouts": ("login_events", None, "action = 'logout'"),
    "ix_error_events_fingerprint_timestamp_seq": ("error_events", "fingerprint", None),
}
# Each of these costs SQLite a seventh of its writes, and what it holds is small enough to be looked through.
POSTGRESQL_ONLY = ("app", "method")


def upgrade() -> None:
    fill_networks()
    op.drop_index("ix_login_events_network_timestamp", "login_events")
    op.drop_index("ix_login_events_username_timestamp_seq", "login_events")
    # On PostgreSQL these indexes put nulls first, of which there are none: a page that asks for this order is read from
    # them, and never from the index of all events by time, which the planner overrates for values that are long gone.
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    order = " NULLS FIRST" if is_postgresql else ""
    for name, (table, column, condition) in INDEXES.items():
        if column in POSTGRESQL_ONLY and not is_postgresql:
            continue
        parts: list[str | sa.TextClause] = [
            *([column] if column else []),
            sa.text(f"timestamp{order}"),
            sa.text(f"seq{order}"),
        ]
        where = sa.text(condition) if condition else None
        on_sqlite = sa.text("outcome = 'failure'") if column == "network" else where  # for the throttle
        op.create_index(name, table, parts, postgresql_where=where, sqlite_where=on_sqlite)
    op.create_index("ix_login_events_request_id", "login_events", ["request_id"], postgresql_using="hash")
    counted = sa.text("remote_addr IS NULL AND network IS NOT NULL")
    name = "ix_login_events_without_address"
    op.create_index(name, "login_events", ["network"], postgresql_where=counted, sqlite_where=counted)


def fill_networks() -> None:
    """Give logins from before 0003 the network of their address, by which the history now finds them.

    It says nothing that the address does not say, so this once rows change, with the trigger that refuses it away.
    """
    connection = op.get_bind()
    missing = "network IS NULL AND remote_addr IS NOT NULL"
    if not connection.execute(sa.text(f"SELECT 1 FROM login_events WHERE {missing} LIMIT 1")).first():
        return
    if connection.dialect.name == "postgresql":
        op.execute("ALTER TABLE login_events DISABLE TRIGGER login_events_append_only")
        network = "network(set_masklen(remote_addr, CASE family(remote_addr) WHEN 4 THEN 24 ELSE 64 END))"
        op.execute(f"UPDATE login_events SET network = {network} WHERE {missing}")
        op.execute("ALTER TABLE login_events ENABLE ALWAYS TRIGGER login_events_append_only")
        return
    trigger = "SELECT sql FROM sqlite_master WHERE name = 'login_events_no_update'"
    definition = connection.execute(sa.text(trigger)).scalar_one()
    op.execute("DROP TRIGGER login_events_no_update")
    driver: Any = connection.connection.dbapi_connection
    driver.create_function("audit_network_of", 1, network_of)
    op.execute(f"UPDATE login_events SET network = audit_network_of(remote_addr) WHERE {missing}")
    connection.exec_driver_sql(definition)


def network_of(address: str) -> str:
    """Return the /24 that an address is in, of IPv6 the /64."""
    return str(ipaddress.ip_network((address, 64 if ":" in address else 24), strict=False))


def downgrade() -> None:
    op.drop_index("ix_login_events_without_address", "login_events")
    op.drop_index("ix_login_events_request_id", "login_events")
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    for name, (table, column, _condition) in INDEXES.items():
        if is_postgresql or column not in POSTGRESQL_ONLY:
            op.drop_index(name, table)
    op.create_index("ix_login_events_username_timestamp_seq", "login_events", ["username", "timestamp", "seq"])
    where = sa.text("outcome = 'failure'")
    op.create_index(
        "ix_login_events_network_timestamp",
        "login_events",
        ["network", "timestamp"],
        postgresql_where=where,
        sqlite_where=where,
    )
