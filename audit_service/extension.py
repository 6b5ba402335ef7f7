"""``LoginAudit``: the trail and its API in any Flask app."""

from collections.abc import Callable

from flask import Flask
from sqlalchemy import Engine

from audit_service import api, receivers
from audit_service.context import EXTENSION, AuditContext, Viewer, context_of, current_context
from audit_service.errors import AuditUnavailable, NotConfiguredError, SettingsError
from audit_service.settings.environment import load_settings
from audit_service.settings.table import Settings
from audit_service.storage.bounded import bound_waits
from audit_service.storage.database import (
    add_functions,
    check_database,
    db,
    engine_options,
    make_writer,
    prepare_engine,
)
from audit_service.trail.looks import Accesses
from audit_service.trail.recorder import Recorder
from audit_service.trail.repeats import Repeats
from audit_service.values import limits
from audit_service.values.text import clean
from audit_service.web.answers import problem


def _no_session() -> None:
    """Return no viewer: then only tokens open the API."""


class LoginAudit:
    """Puts the trail into a Flask app: events of its login view and its unhandled exceptions, and the JSON API.

    An app that has Flask-SQLAlchemy keeps its trail in its own default database, through connections apart from the
    app's own; else ``AUDIT_DATABASE_URL`` says where. Run the migrations first: ``audit-service migrate``.
    """

    def __init__(self, app: Flask | None = None, *, session_viewer: Callable[[], Viewer | None] = _no_session) -> None:
        """*session_viewer* returns the user that is logged in to the current request's session, or None."""
        self._session_viewer = session_viewer
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, settings: Settings | None = None) -> None:
        """Set up *app*. Raises ``NotConfiguredError`` at a second call, ``SettingsError`` for bad settings."""
        if EXTENSION in app.extensions:
            raise NotConfiguredError(f"the Flask app {app.name!r} has an audit trail already")
        settings = settings or load_settings(app.config)
        if "sqlalchemy" not in app.extensions:
            _add_database(app, settings)
        engine = _default_engine(app)
        _require_usable(engine, settings)
        add_functions(engine)
        recorder = _make_recorder(app, engine, settings)
        app_name = settings.app_name or clean(app.name, limits.APP)
        app.extensions[EXTENSION] = AuditContext(
            settings=settings,
            recorder=recorder,
            accesses=Accesses(),
            repeats=Repeats(recorder, app_name),
            writer=make_writer(engine),
            app_name=app_name,
            session_viewer=self._session_viewer,
        )
        receivers.connect()
        app.before_request(_start_recorder)
        app.register_blueprint(api.blueprint)
        app.register_error_handler(AuditUnavailable, problem)  # 503: the app may register its own instead

    @staticmethod
    def close(app: Flask) -> None:
        """Store what is queued, end the threads, and close the connections that ``init_app`` gave to *app*.

        An app's own Flask-SQLAlchemy stays as it is. A process that ends needs no call; tests, and programs that make
        many apps, do. An event or a request that comes later opens all of it again.

        Raises ``NotConfiguredError`` if the app has no trail.
        """
        context_of(app).recorder.stop()
        if app.extensions["sqlalchemy"] is db:
            _default_engine(app).dispose()


def _start_recorder() -> None:
    """Start the recorder with a process's first request: events that wait in the spool shall not wait for a login."""
    current_context().recorder.start()


def _add_database(app: Flask, settings: Settings) -> None:
    """Give *app*, which has no Flask-SQLAlchemy, one of ours."""
    if settings.is_embedded:
        settings.make_data_dir()
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(settings.url)
    db.init_app(app)
    engine = _default_engine(app)
    prepare_engine(engine)
    bound_waits(engine, settings.write_timeout)


def _default_engine(app: Flask) -> Engine:
    with app.app_context():
        engine: Engine | None = app.extensions["sqlalchemy"].engines.get(None)
    if engine is None:
        raise NotConfiguredError("the app has no default database: set SQLALCHEMY_DATABASE_URI")
    return engine


def _require_usable(engine: Engine, settings: Settings) -> None:
    """Raise ``SettingsError`` unless the trail can be kept in the app's database, and is not meant for another one."""
    if settings.database_url and engine.url != settings.url:
        raise SettingsError(
            "AUDIT_DATABASE_URL names another database than SQLALCHEMY_DATABASE_URI: an app keeps its trail in its own "
            "database, so unset AUDIT_DATABASE_URL"
        )
    check_database(engine.url)


def _make_recorder(app: Flask, engine: Engine, settings: Settings) -> Recorder:
    """Make a recorder that connects as the app's Flask-SQLAlchemy does."""
    if settings.spool_path:
        settings.make_data_dir()
    return Recorder(
        engine.url,
        connect_args=app.config.get("SQLALCHEMY_ENGINE_OPTIONS", {}).get("connect_args"),
        spool_path=settings.spool_path,
        timeout=settings.write_timeout,
        queue_limit=settings.queue_limit,
    )
