"""The service: ``create_app()``."""

import os
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response
from sqlalchemy import Engine
from werkzeug.exceptions import HTTPException, InternalServerError, RequestTimeout, ServiceUnavailable

from audit_service import api, login, receivers
from audit_service.context import context_of
from audit_service.errors import INSTALL_SERVICE
from audit_service.extension import API, LoginAudit
from audit_service.operations.logs import scrub_logs
from audit_service.operations.readiness import readiness
from audit_service.pages.service import add_pages
from audit_service.serving.gateway import Gateway, ReadyAnswer, ReadyAnswers
from audit_service.settings.environment import load_settings
from audit_service.settings.table import Settings
from audit_service.storage.bounded import bound_waits
from audit_service.storage.database import Base, engine_options, prepare_engine
from audit_service.values import limits
from audit_service.web.answers import json_answer, problem, register_errors
from audit_service.web.browsers import protect
from audit_service.web.proxies import TrustedProxies

try:
    from flask_sqlalchemy import SQLAlchemy

    from audit_service.api import metrics
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"the service needs {error.name}: {INSTALL_SERVICE}", name=error.name) from None

db = SQLAlchemy(model_class=Base)
MAX_BODY = 64 * 1024  # bytes; a login is small


def create_app(config: Mapping[str, Any] | None = None) -> Flask:
    """Make the service from ``AUDIT_*`` variables, overridden by *config*. Raises ``SettingsError`` for bad ones."""
    app = Flask("audit_service", static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY,
        MAX_FORM_MEMORY_SIZE=MAX_BODY,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_HTTPONLY=True,
    )
    app.config.from_mapping(config or {})
    settings = load_settings(app.config)
    app.secret_key = settings.signing_key()
    scrub_logs(app)
    LoginAudit(session_viewer=login.session_viewer, log="/trail", pages="").init_app(
        app, settings, _connect(app, settings)
    )
    protect(app)
    login.init_sessions(app)
    login.init_attempts(app)
    app.register_blueprint(login.blueprint)
    app.register_blueprint(metrics.blueprint)
    add_pages(app)
    register_errors(app, login.error_answer)
    app.add_url_rule("/healthz", view_func=healthz, merge_slashes=False)
    app.add_url_rule("/readyz", view_func=readyz, merge_slashes=False)
    app.add_url_rule(
        f"{API}/<path:_path>", view_func=api.not_here, methods=api.EVERY_METHOD, provide_automatic_options=False
    )
    receivers.require_connected()
    if settings.trusted_proxies:
        app.wsgi_app = TrustedProxies(app.wsgi_app, settings.trusted_proxies)  # type: ignore[method-assign]
    _warn(app, settings)
    return app


def _connect(app: Flask, settings: Settings) -> Engine:
    """Set up Flask-SQLAlchemy; return its engine."""
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(settings.url)
    db.init_app(app)
    with app.app_context():
        engine = db.engine
    prepare_engine(engine)
    bound_waits(engine, settings.write_timeout)
    return engine


def create_worker() -> Gateway:
    """Make the service in a worker of ``audit-service serve``, as a process group of its own.

    Ctrl-C reaches all processes of a group, and a worker that ends before the one that made it is made anew.
    """
    os.setpgrp()
    return gateway_of(create_app())


def gateway_of(app: Flask) -> Gateway:
    """Return what granian calls to let *app* answer. The answers that the app does not make look as its own."""
    return Gateway(
        app.wsgi_app,
        ReadyAnswers(
            too_slow=_ready_answer(app, RequestTimeout("the body did not arrive in time")),
            too_many=_ready_answer(
                app, ServiceUnavailable("too many requests at once; please try again", retry_after=10)
            ),
            failed=_ready_answer(app, InternalServerError()),
        ),
        threads=context_of(app).settings.threads,
        body_limit=max(MAX_BODY, limits.REPORTS_BYTES),
    )


def _ready_answer(app: Flask, error: HTTPException) -> ReadyAnswer:
    """Return the answer to a request that the app does not see, as the app would make it."""
    with app.test_request_context():
        answer = app.process_response(problem(error))
    return answer.status_code, [*answer.headers, ("Connection", "close")], answer.get_data()


def _warn(app: Flask, settings: Settings) -> None:
    if settings.login == "passwordless":
        app.logger.warning(
            "any name logs in without a password, and reads the logins of that name (AUDIT_LOGIN is passwordless): "
            "for demonstrations only"
        )
    if settings.throttle == "off":
        app.logger.warning("AUDIT_THROTTLE=off: passwords can be guessed as fast as this machine checks them")


def healthz() -> Response:
    """Say that the process lives; no database is asked."""
    return json_answer({"status": "ok"})


def readyz() -> Response:
    """Say whether logins can be checked and recorded: 200 or 503, with the reasons."""
    is_ready, state = readiness()
    return json_answer(state, 200 if is_ready else 503)
