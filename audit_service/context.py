"""What ``LoginAudit.init_app`` leaves in a Flask app, and how the rest finds it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import Flask, current_app, has_app_context, has_request_context, request
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from audit_service.errors import NotConfiguredError
from audit_service.events import request_info, usernames
from audit_service.events.admin import Actor
from audit_service.events.base import NewEvent
from audit_service.settings.table import Settings
from audit_service.storage.dialects import is_postgresql
from audit_service.storage.outages import wrapped
from audit_service.trail.looks import Accesses
from audit_service.trail.recorder import Recorder
from audit_service.trail.repeats import Repeats
from audit_service.vocabulary import Role

EXTENSION = "login_audit"
_READING = "audit_service.reading"
_AWAY = "audit_service.database_is_away"


@dataclass(frozen=True)
class Viewer:
    """A reader of the history: an account with its role, or a token that may read all."""

    name: str
    role: Role


@dataclass(frozen=True)
class AuditContext:
    """One app's trail."""

    settings: Settings
    recorder: Recorder
    accesses: Accesses
    repeats: Repeats
    writer: Engine
    app_name: str
    session_viewer: Callable[[], Viewer | None]

    def record(self, event: NewEvent) -> UUID:
        """Record *event* as the recorder does, with no reading of our own open meanwhile.

        An open one holds a connection, and keeps SQLite from using its log again: the log would grow.
        """
        self.record_all((event,))
        return event.id

    def record_all(self, events: Sequence[NewEvent]) -> None:
        """Record *events* as ``record`` does, in their order."""
        end_reading()
        if self.recorder.spool_path and has_request_context() and request.environ.get(_AWAY):
            self.recorder.record_in_spool(events)
        else:
            self.recorder.record_all(events)

    def signing_key(self) -> str:
        """Return what signs cursors: the current app's secret key, else the one of the settings."""
        return str(current_app.secret_key or self.settings.signing_key())

    def unknown_username(self, username: str) -> str:
        """Return what is stored for a name that matches no account."""
        return usernames.unknown(username, self.settings.unknown_usernames, self.signing_key)

    def actor(self, name: str) -> Actor:
        """Return *name* as the actor of an admin event in the current request."""
        client = request_info.client()
        return Actor(name=name, app=self.app_name, remote_addr=client.remote_addr, request_id=client.request_id)


def context_of(app: Flask) -> AuditContext:
    """Return the app's trail; raise ``NotConfiguredError`` if it has none."""
    try:
        context: AuditContext = app.extensions[EXTENSION]
    except KeyError:
        raise NotConfiguredError(f"the Flask app {app.name!r} has no audit trail: call LoginAudit(app) first") from None
    return context


def current_context() -> AuditContext:
    """Return the current app's trail."""
    return context_of(current_app)


@contextmanager
def write_session() -> Iterator[Session]:
    """Open a session for a change of accounts, tokens or sessions, apart from the app's own; commit it at the end."""
    end_reading()  # what was read is old by now; and one connection is enough
    with Session(current_context().writer) as session, session.begin():
        yield session


def read_engine() -> Engine:
    """Return the engine of the database that is read, for connections apart from the app's own session."""
    engine = _session().get_bind()
    return engine if isinstance(engine, Engine) else engine.engine


def read_session() -> Session:
    """Return the app's own SQLAlchemy session, through which history, accounts and tokens are read.

    Unless the app uses it already, its statements come without a transaction on PostgreSQL: the begin and the end of
    one are round trips.
    """
    session = _session()
    if not session.in_transaction():
        engine: Any = session.get_bind()
        with wrapped(engine):
            session.connection(execution_options={"isolation_level": "AUTOCOMMIT"} if is_postgresql(engine) else {})
        session.info[_READING] = session.get_transaction()
    return session


def end_reading() -> None:
    """Give the connection back, so that what is read next is new, and comes as the app is used to.

    What the app itself has begun in its session is left as it is.
    """
    database = current_app.extensions.get("sqlalchemy") if has_app_context() else None
    if database is None or not database.session.registry.has():  # a signal may be sent from anywhere
        return
    session = _session()
    begun = session.info.pop(_READING, None)
    if begun is None or begun is not session.get_transaction():
        return
    try:
        session.rollback()
    except SQLAlchemyError:  # the connection is gone, and what was read with it
        session.invalidate()


def note_away() -> None:
    """Take note that the database does not answer the current request: what it records goes to the spool at once.

    It has waited for the database already.
    """
    request.environ[_AWAY] = True


def _session() -> Session:
    session: Session = current_app.extensions["sqlalchemy"].session()
    return session
