"""``LoginAudit``: the trail and its API in any Flask app."""

from collections.abc import Callable

from flask import Flask

from audit_service import api, receivers
from audit_service.context import EXTENSION, AuditContext, Viewer, current_context
from audit_service.errors import AuditUnavailable, NotConfiguredError, SettingsError
from audit_service.settings.environment import load_settings
from audit_service.settings.table import APP_LIMIT, Settings
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
from audit_service.values.text import clean
from audit_service.web.answers import problem


def _nobody() -> None:
    """Without a way to tell who has the session, only tokens open the API."""


class LoginAudit:
    """Puts the trail into a Flask app: events of its login view and its unhandled exceptions, and the JSON API.

    An app that has Flask-SQLAlchemy keeps its trail in its own default database, through connections apart from the
    app's own; else ``AUDIT_DATABASE_URL`` says where. Run the migrations first: ``audit-service migrate``.
    """

    def __init__(self, app: Flask | None = None, *, session_viewer: Callable[[], Viewer | None] = _nobody) -> None:
        """*session_viewer* tells who has the session of the current request, null for nobody."""
        self._session_viewer = session_viewer
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, settings: Settings | None = None) -> None:
        """Set up *app*. Raises ``NotConfiguredError`` at a second call, ``SettingsError`` for bad settings."""
        if EXTENSION in app.extensions:
            raise NotConfiguredError(f"the Flask app {app.name!r} has an audit trail already")
        if settings is None:
            settings = load_settings(app.config)
        recorder = _make_recorder(app, settings)
        with app.app_context():
            writer = make_writer(app.extensions["sqlalchemy"].engine)
        app_name = settings.app_name or clean(app.name, APP_LIMIT)
        app.extensions[EXTENSION] = AuditContext(
            settings=settings,
            recorder=recorder,
            accesses=Accesses(),
            repeats=Repeats(recorder, app_name),
            writer=writer,
            app_name=app_name,
            session_viewer=self._session_viewer,
        )
        receivers.connect()
        app.before_request(_start_recorder)
        app.register_blueprint(api.blueprint)
        app.register_error_handler(AuditUnavailable, problem)  # 503: the app may register its own instead


def _start_recorder() -> None:
    """With a process's first request, whatever it is for: events that wait in the spool shall not wait for a login."""
    current_context().recorder.start()


def _make_recorder(app: Flask, settings: Settings) -> Recorder:
    """Make a recorder for the database of the app's Flask-SQLAlchemy, connected as that one is.

    An app that has no Flask-SQLAlchemy gets one.
    """
    if "sqlalchemy" not in app.extensions:
        _add_database(app, settings)
    with app.app_context():
        engine = app.extensions["sqlalchemy"].engines.get(None)
    if engine is None:
        raise NotConfiguredError("the app has no default database: set SQLALCHEMY_DATABASE_URI")
    if settings.database_url and engine.url != settings.url:
        raise SettingsError(
            "AUDIT_DATABASE_URL names another database than SQLALCHEMY_DATABASE_URI: an app keeps its trail in its own "
            "database, so unset AUDIT_DATABASE_URL"
        )
    check_database(engine.url)
    add_functions(engine)
    if settings.spool_path:
        settings.make_data_dir()
    return Recorder(
        engine.url,
        connect_args=app.config.get("SQLALCHEMY_ENGINE_OPTIONS", {}).get("connect_args"),
        spool_path=settings.spool_path,
        timeout=settings.write_timeout,
        queue_limit=settings.queue_limit,
    )


def _add_database(app: Flask, settings: Settings) -> None:
    if settings.is_embedded:
        settings.make_data_dir()
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(settings.url)
    db.init_app(app)
    with app.app_context():
        prepare_engine(db.engine)
        bound_waits(db.engine, settings.write_timeout)
