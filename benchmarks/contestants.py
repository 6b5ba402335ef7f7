"""What ours is compared with: the ways in which a Flask app keeps, or does not keep, its logins.

Each is a factory for the same ``POST /login/`` with a username and no password. Ours, of which
``audit_service.app:create_worker`` makes a worker, also checks the name, makes a session and signs its cookie, which
``unrecorded`` measures alone.
"""

import os
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, jsonify, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from audit_service import create_app
from audit_service.context import context_of
from audit_service.signals import login_signal

FILE = os.environ.get("BENCH_FILE", "")
DATABASE_URL = os.environ.get("BENCH_DATABASE_URL", "")


class Base(DeclarativeBase):
    """Of the ORM form."""


db = SQLAlchemy(model_class=Base)


class PlainLogin(Base):
    """The table that people write first."""

    __tablename__ = "plain_logins"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str]
    timestamp: Mapped[datetime]
    remote_addr: Mapped[str | None]
    user_agent: Mapped[str | None]


def bare() -> Flask:
    """Keep nothing."""
    return _app()


def file() -> Flask:
    """Append a line to a file: the mission's first form. Not durable, not readable by machines."""
    login_signal.connect(_append_line)
    return _app()


def orm() -> Flask:
    """Add and commit with the ORM in the receiver, as tutorials do."""
    app = _app()
    app.config["SQLALCHEMY_DATABASE_URI"] = DATABASE_URL.replace("postgresql:", "postgresql+psycopg:")
    db.init_app(app)
    with app.app_context():
        db.create_all()
    login_signal.connect(_add_and_commit)
    return app


def unrecorded() -> Flask:
    """Our service with a recorder that stores nothing: what the rest of our view costs."""
    app = create_app()
    context_of(app).recorder.record = lambda event: event.id  # type: ignore[method-assign]
    return app


def _app() -> Flask:
    app = Flask("bench")

    @app.post("/login/")
    def login() -> Response:
        username = request.form["username"]
        login_signal.send(app, username=username)
        return jsonify(message="you are logged in", username=username)

    @app.get("/healthz")
    def healthz() -> str:
        return ""

    return app


def _append_line(_sender: object, username: str, **_extra: Any) -> None:
    with open(FILE, "a") as lines:  # noqa: PTH123 - as the tutorial has it
        lines.write(f"{datetime.now(UTC)} {username} {request.remote_addr}\n")


def _add_and_commit(_sender: object, username: str, **_extra: Any) -> None:
    login = PlainLogin(
        username=username,
        timestamp=datetime.now(UTC).replace(tzinfo=None),
        remote_addr=request.remote_addr,
        user_agent=request.headers.get("User-Agent"),
    )
    db.session.add(login)
    db.session.commit()
