"""``LoginAudit``: the trail and its API in any Flask app."""

from collections.abc import Callable

from flask import Flask
from sqlalchemy import Engine

from audit_service import api, receivers
from audit_service.context import EXTENSION, AuditContext, Viewer
from audit_service.database import db, engine_options, make_engine, prepare_engine
from audit_service.errors import NotConfiguredError
from audit_service.settings import Settings, load_settings
from audit_service.trail.recorder import Recorder


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
        app.extensions[EXTENSION] = AuditContext(
            settings=settings,
            recorder=Recorder(make_engine(_host_engine(app, settings).url, writes=True)),
            signing_key=str(app.secret_key or settings.signing_key()),
            session_viewer=self._session_viewer,
        )
        receivers.connect()
        app.register_blueprint(api.blueprint)


def _host_engine(app: Flask, settings: Settings) -> Engine:
    """The engine of the app's Flask-SQLAlchemy; where the app has none, it gets ours."""
    if "sqlalchemy" in app.extensions:
        with app.app_context():
            engine: Engine = app.extensions["sqlalchemy"].engine
        return engine
    if settings.is_embedded:
        settings.make_data_dir()
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(settings.url)
    db.init_app(app)
    with app.app_context():
        prepare_engine(db.engine)
        return db.engine
