"""PostgreSQL behind a pooler that has another session for each transaction, such as PgBouncer in transaction mode.

It refuses start-up options or drops them, and what is set in a session would meet others. So each transaction brings
its settings along. Where the session has them, nothing more is said to the server.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Generic, Self, TypeVar

import psycopg
from psycopg.abc import Params, Query
from psycopg.pq import TransactionStatus

from audit_service.storage.session_settings import settings_of

# Set at the start of a session, only to see whether it is ours: no other program has such a parameter.
_MARK = "audit_service.session"
_REFUSAL = "unsupported startup parameter"  # PgBouncer's words: it has no code for it


class PoolableConnection(psycopg.Connection[Any]):
    """A connection to a server, or to a pooler. In the latter case it has ``settings``: SQL for each transaction."""

    settings = ""


C = TypeVar("C", bound=PoolableConnection)


class Connector(Generic[C]):
    """Makes connections of one kind to one place, and learns what becomes of start-up options there."""

    def __init__(self, kind: type[C]) -> None:
        """Make connections of this *kind*."""
        self._kind = kind
        self._are_refused = False

    def connect(self, arguments: list[Any], parameters: dict[str, Any]) -> C:
        """Connect, with the options of *parameters* or without if they are refused, in AUTOCOMMIT until ``settle``."""
        given = {**parameters, "autocommit": True}
        if not self._are_refused:
            try:
                return self._kind.connect(*arguments, **{**given, "options": f"{given['options']} -c {_MARK}=ours"})
            except psycopg.OperationalError as error:
                if _REFUSAL not in str(error):
                    raise
            self._are_refused = True
        return self._kind.connect(*arguments, **{**given, "options": ""})

    @staticmethod
    def settle(connection: C, options: str) -> None:
        """Ask whether the session of a new *connection* took our *options*; else let each transaction bring them."""
        try:
            if connection.execute(f"SELECT current_setting('{_MARK}', true)").fetchone() != ("ours",):
                connection.settings = settings_of(options)
                connection.cursor_factory = PooledCursor
                connection.prepare_threshold = None  # a prepared statement belongs to a session
            connection.autocommit = False
        except BaseException:
            connection.close()
            raise


class PooledCursor(psycopg.Cursor[Any]):
    """Begins each transaction with the ``settings`` of its connection.

    Without a transaction (AUTOCOMMIT) each statement gets one, so that it holds a session of the pooler no longer than
    without settings: three round trips in place of one.
    """

    def execute(self, query: Any, params: Params | None = None, **options: Any) -> Self:
        """Execute one statement."""
        with self._settled():
            return super().execute(query, params, **options)

    def executemany(self, query: Query, params_seq: Iterable[Params], **options: Any) -> None:
        """Execute one statement with each of the parameters, in one transaction."""
        with self._settled():
            super().executemany(query, params_seq, **options)

    @contextmanager
    def _settled(self) -> Iterator[None]:
        connection: Any = self.connection
        if connection.pgconn.transaction_status != TransactionStatus.IDLE:
            yield
        elif not connection.autocommit:
            super().execute(connection.settings)
            yield
        else:
            try:
                super().execute(f"BEGIN; {connection.settings}")
                yield
                connection.commit()
            except BaseException:
                with suppress(psycopg.Error):  # of a connection that is gone
                    connection.rollback()
                raise
