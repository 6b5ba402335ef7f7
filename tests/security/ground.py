"""What all proofs of security stand on: a database with accounts and tokens, and the app on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from flask import Flask
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from audit_service import LoginAudit, create_app
from audit_service.access.accounts import add_account, disable
from audit_service.access.tokens import add_token
from audit_service.settings.table import Settings
from audit_service.storage.database import make_engine
from audit_service.vocabulary import Role, Scope
from tests.support.accounts import ACTOR, PASSWORD
from tests.support.apps import SECRET_KEY

T = TypeVar("T")

GONE = "gone"  # the name of a disabled account
SHOWN = 5  # failures that a message shows


def no_progress(_done: int) -> None:
    """Nobody watches."""


@contextmanager
def engine_of(database_url: str) -> Iterator[Engine]:
    engine = make_engine(Settings(database_url=database_url).url, writes=True)
    try:
        yield engine
    finally:
        engine.dispose()


@dataclass(frozen=True)
class Tokens:
    """Of each scope one."""

    read: str
    report: str

    def reader(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.read}"}

    def reporter(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.report}"}


def populate(database_url: str) -> Tokens:
    """Make an account of each role, named like it, a disabled one, and the tokens."""
    with engine_of(database_url) as engine, Session(engine) as database, database.begin():
        for role in Role:
            add_account(database, role.value, role, PASSWORD, by=ACTOR)
        disable(database, add_account(database, GONE, Role.USER, PASSWORD, by=ACTOR), by=ACTOR)
        return Tokens(*(add_token(database, scope.value, scope, by=ACTOR) for scope in (Scope.READ, Scope.REPORT)))


def settings(database_url: str, folder: Path, **more: object) -> dict[str, object]:
    return {
        "AUDIT_DATABASE_URL": database_url,
        "AUDIT_DATA_DIR": str(folder),
        "AUDIT_SECRET_KEY": SECRET_KEY,
        "AUDIT_WORKERS": 2,
        **more,
    }


@contextmanager
def app_of(database_url: str, folder: Path, **more: object) -> Iterator[Flask]:
    app = create_app(settings(database_url, folder, **more))
    try:
        yield app
    finally:
        LoginAudit.close(app)
