"""What ``LoginAudit.init_app`` leaves in a Flask app, and how the rest finds it."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from flask import Flask, current_app, g, has_app_context, has_request_context, request
from msgspec.structs import replace
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from audit_service.errors import AuditUnavailable, NotConfiguredError
from audit_service.events import request_info, tracebacks, usernames
from audit_service.events.admin import Actor
from audit_service.events.base import NewEvent
from audit_service.events.errors import new_error
from audit_service.events.logins import NewLogin
from audit_service.events.request_info import Client, Target
from audit_service.seams import Seams
from audit_service.settings.table import Settings
from audit_service.storage.dialects import is_postgresql
from audit_service.storage.outages import wrapped
from audit_service.trail.login_log import LoginLog
from audit_service.trail.looks import Accesses
from audit_service.trail.recorder import Recorder
from audit_service.trail.repeats import Bug, Repeats
from audit_service.trail.shared_file import SharedFile
from audit_service.values import limits
from audit_service.values.text import clean
from audit_service.vocabulary import Role

logger = logging.getLogger("audit_service")

EXTENSION = "login_audit"
CACHED_VALUES = 10  # parameters of a question whose statements are kept for the next one
_READING = "login_audit_reading"
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
    reader: Engine
    writer: Engine
    app_name: str
    login_log: LoginLog | None = None
    session_viewer: Callable[[], Viewer | None] | None = None
    seams: Seams = field(default_factory=Seams)
    shared_file: SharedFile | None = None
    adapters: set[str] = field(default_factory=set)  # the names of those that tell of the app's logins

    def record(self, event: NewEvent) -> UUID:
        """Record *event* as the recorder does, with no reading of our own open meanwhile.

        An open one holds a connection, and keeps SQLite from using its log again: the log would grow.
        """
        self.record_all((event,))
        return event.id

    def record_of_app(self, event: NewEvent) -> UUID | None:
        """Record *event* of the app as its seams want it; return its id, None if it was excluded.

        Also None if it cannot be stored and ``AUDIT_UNAVAILABLE`` is ``allow``; else that raises ``AuditUnavailable``.
        """
        wanted = self.seams.apply(event, self._record_broken_seam)
        if wanted is None:
            self.recorder.start()  # starting sets the counters to 0
            self.recorder.counters.excluded += 1
            return None
        event_id = None
        try:
            with self.shared_file.watch() if self.shared_file else nullcontext():
                event_id = self.record(wanted)
        except AuditUnavailable as error:
            if self.settings.unavailable == "refuse":
                raise
            logger.critical("an event of %r is lost (AUDIT_UNAVAILABLE=allow): %s", self.app_name, error)
        if self.login_log and isinstance(wanted, NewLogin):
            self.login_log.write(wanted)
        return event_id

    def record_error(self, error: BaseException, client: Client, target: Target) -> None:
        """Record an exception that happened in a request of *client* for *target*, or count it as a repetition."""
        if self._is_admitted(error):
            name = self.identify()
            target = replace(target, username=target.username if name is None else name)
            self.record_of_app(new_error(self.app_name, error, client, target))

    def identify(self) -> str | None:
        """Return the name of the current request's user, None if the app does not tell it or fails to."""
        if self.seams.identify and has_request_context():
            try:
                name = self.seams.identify(request_info.real_request())
                return None if name is None else clean(str(name), limits.USERNAME)
            except Exception as error:  # noqa: BLE001 - the app's own code
                self._record_broken_seam(error)
        return None

    def _record_broken_seam(self, error: Exception) -> None:
        """Record the *error* of a callable of the app; when that cannot be done either, only the log has it."""
        name, message = type(error).__name__, tracebacks.message(error)
        logger.warning("identify, exclude or transform of the app %r has failed: %s: %s", self.app_name, name, message)
        try:
            if self._is_admitted(error):
                self.record(new_error(self.app_name, error, request_info.client(), request_info.target()))
        except AuditUnavailable as unavailable:
            logger.warning("the failure of a callable of %r is not recorded: %s", self.app_name, unavailable)

    def _is_admitted(self, error: BaseException) -> bool:
        return self.repeats.admit(Bug(tracebacks.fingerprint(error), tracebacks.exception_type(error)))

    def record_all(self, events: Sequence[NewEvent]) -> None:
        """Record *events* as ``record`` does, in their order."""
        end_reading()
        if self.recorder.spool_path and has_request_context() and request.environ.get(_AWAY):
            self.recorder.record_in_spool(events)
        else:
            self.recorder.record_all(events)

    def signing_key(self, app: Flask | None = None) -> str:
        """Return what signs cursors: the secret key of *app*, by default of the current one, else of the settings."""
        return str((app or current_app).secret_key or self.settings.signing_key())

    def unknown_username(self, username: str, app: Flask | None = None) -> str:
        """Return what is stored for a name that matches no account of *app*, by default of the current one."""
        return usernames.unknown(username, self.settings.unknown_usernames, partial(self.signing_key, app))

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


def has_adapter(app: Flask, name: str) -> bool:
    """Tell whether the trail of *app*, if it has one, takes what the adapter of that *name* tells."""
    return EXTENSION in app.extensions and name in context_of(app).adapters


def current_context() -> AuditContext:
    """Return the current app's trail."""
    return context_of(current_app)


@contextmanager
def write_session() -> Iterator[Session]:
    """Open a session for a change of accounts, tokens or sessions, apart from the app's own; commit it at the end."""
    end_reading()  # what was read is old by now; and one connection is enough
    with Session(current_context().writer) as session, session.begin():
        yield session


def read_session() -> Session:
    """Return the session of the current app context through which history, accounts and tokens are read.

    It is apart from the app's own. On PostgreSQL its statements come without a transaction: the begin and the end of
    one are round trips.
    """
    session: Session | None = g.get(_READING)
    if session is None:
        engine = current_context().reader
        session = Session(engine)
        with wrapped(engine):
            session.connection(execution_options=_reading_options(engine))
        setattr(g, _READING, session)
    return session


def _reading_options(engine: Engine) -> dict[str, Any]:
    """Return the options of a connection for reading.

    SQLAlchemy keeps hundreds of compiled statements, each with all its parts, for the next question that is made alike.
    The megabytes of a question with many values are not kept: a reader who asks for ever more would fill the memory.
    """
    options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"} if is_postgresql(engine) else {}
    if has_request_context() and sum(1 for _, value in request.args.items(multi=True) if value) > CACHED_VALUES:
        options["compiled_cache"] = None
    return options


def end_reading(_error: BaseException | None = None) -> None:
    """Give the connection back, so that what is read next is new."""
    session: Session | None = g.pop(_READING, None) if has_app_context() else None  # a signal may be sent from anywhere
    if session is None:
        return
    try:
        session.close()
    except SQLAlchemyError:  # the connection is gone, and what was read with it
        session.invalidate()


def note_away() -> None:
    """Take note that the database does not answer the current request: what it records goes to the spool at once.

    It has waited for the database already.
    """
    request.environ[_AWAY] = True
