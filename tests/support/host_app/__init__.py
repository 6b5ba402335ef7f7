"""A foreign app, as somebody would write it, that uses the extension."""

from typing import Any

from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from audit_service import LoginAudit, login_signal
from audit_service.access.tokens import add_token
from audit_service.context import write_session
from audit_service.vocabulary import Scope
from tests.support.accounts import ACTOR


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)
audit = LoginAudit()


class Visit(Base):
    """The host's own data."""

    __tablename__ = "visits"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def create_host(database_url: str, connect_args: dict[str, str] | None = None, **config: Any) -> Flask:
    """Make the app, whose own database is *database_url*."""
    app = Flask("host")
    app.secret_key = "the host's own secret"
    app.config["SQLALCHEMY_DATABASE_URI"] = database_url.replace("postgresql:", "postgresql+psycopg:")
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"connect_args": connect_args or {}}
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.config.update(config)
    db.init_app(app)
    audit.init_app(app)
    with app.app_context():
        db.create_all()

    @app.post("/enter")
    def enter() -> str:
        login_signal.send(app, username=request.form["name"])
        db.session.add(Visit(name=request.form["name"]))
        db.session.commit()
        return "welcome"

    @app.post("/enter-and-fail")
    def enter_and_fail() -> str:
        db.session.add(Visit(name=request.form["name"]))
        login_signal.send(app, username=request.form["name"])
        raise RuntimeError("after the signal, before the commit")

    return app


def close_host(app: Flask) -> None:
    LoginAudit.close(app)
    with app.app_context():
        db.engine.dispose()


def read_headers(app: Flask, name: str = "reader") -> dict[str, str]:
    """Make a token that opens the history of *app*; return the headers that carry it."""
    with app.app_context(), write_session() as session:
        return {"Authorization": "Bearer " + add_token(session, name, Scope.READ, by=ACTOR)}


def history(app: Flask, path: str = "/api/logins") -> list[dict[str, Any]]:
    """Return the first page of what the API of *app* has at *path*."""
    answer = app.test_client().get(path, headers=read_headers(app, path))
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.get_json()["items"]
    return items
