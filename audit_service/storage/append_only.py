"""The triggers that refuse a change of events, and the only way past them: for one table, in one transaction."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

from audit_service.errors import NotConfiguredError
from audit_service.storage.dialects import is_postgresql

LOCK_TIMEOUT = 500  # milliseconds that the lock of a table is waited for; who writes waits as long behind it

_OWNER = "SELECT pg_get_userbyid(relowner), pg_has_role(relowner, 'USAGE'), current_user FROM pg_class WHERE oid = {}"


@contextmanager
def may_update(connection: Connection, table: str) -> Iterator[None]:
    """Let the transaction of *connection* update events of *table*; nobody else may, and after it nobody at all.

    On PostgreSQL nobody writes into the table until the commit. After an error the transaction has to be rolled back,
    which brings the triggers back. Raises ``NotConfiguredError`` if a trigger is not there, and what SQLAlchemy
    raises, on PostgreSQL also when the lock does not come in ``LOCK_TIMEOUT``.
    """
    if is_postgresql(connection):
        names = [f"{table}_append_only", f"{table}_rows_stay"]
        found = "SELECT tgname FROM pg_trigger WHERE tgrelid = CAST(:table AS regclass) AND tgname = ANY(:names)"
        _require(names, connection.scalars(text(found), {"table": table, "names": names}))
        connection.execute(text(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT}"))
        for name in names:
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER {name}"))
        yield
        for name in names:
            connection.execute(text(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"))
    else:
        name = f"{table}_no_update"
        found = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name = :name"
        definitions = {row.name: row.sql for row in connection.execute(text(found), {"name": name})}
        _require([name], definitions)
        connection.exec_driver_sql(f"DROP TRIGGER {name}")
        yield
        connection.exec_driver_sql(definitions[name])


def require_owner(connection: Connection, table: str) -> None:
    """Raise ``NotConfiguredError`` unless the database user may switch off the triggers of *table*."""
    if not is_postgresql(connection):
        return
    owner, is_ours, user = connection.execute(text(_OWNER.format(f"'{table}'::regclass"))).one()
    if not is_ours:
        raise NotConfiguredError(
            f"only the owner of the tables can do this: run it with the user {owner!r} in AUDIT_DATABASE_URL, "
            f"not as {user!r}"
        )


def _require(names: Iterable[str], found: Iterable[str]) -> None:
    if missing := sorted(set(names) - set(found)):
        raise NotConfiguredError(
            f"the database has no trigger {missing[0]}, which keeps the trail append-only: put it back"
        )
