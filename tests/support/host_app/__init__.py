"""A foreign app, as somebody would write it, that uses the extension."""

from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from audit_service import LoginAudit, login_signal
from audit_service.context import context_of


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)
audit = LoginAudit()


class Visit(Base):
    """The host's own data."""

    __tablename__ = "visits"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def create_host(database_url: str, connect_args: dict[str, str] | None = None) -> Flask:
    app = Flask("host")
    app.secret_key = "the host's own secret"
    app.config["SQLALCHEMY_DATABASE_URI"] = database_url.replace("postgresql:", "postgresql+psycopg:")
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"connect_args": connect_args or {}}
    app.config["PROPAGATE_EXCEPTIONS"] = False
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
    context_of(app).recorder.stop()
    with app.app_context():
        db.engine.dispose()
