"""Fixtures: every test that takes ``database_url`` runs on SQLite and on a real PostgreSQL."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, make_url

from audit_service import create_app
from audit_service.access.accounts import add_account
from audit_service.access.passwords import hash_password
from audit_service.access.tokens import add_token
from audit_service.context import context_of
from audit_service.events.new import Actor
from audit_service.settings.table import Settings
from audit_service.storage import schema
from audit_service.storage.database import db, make_engine
from audit_service.trail.recorder import Recorder
from audit_service.vocabulary import Role, Scope
from tests.factories import SaveThrough
from tests.support.postgres import NoPostgresError, memory, private_postgres

SECRET_KEY = "a secret key for tests"
PASSWORD = "correct horse battery"
ACTOR = Actor(name="tests", app="tests")


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AUDIT_") and not name.startswith("AUDIT_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server where databases may be made; a skip where there is none, a failure with CI=true."""
    if url := os.environ.get("AUDIT_TEST_DATABASE_URL"):
        yield url
        return
    try:
        with private_postgres(parent=memory()) as server:
            yield server.url()
    except NoPostgresError as error:
        without_postgres(error)


def without_postgres(error: NoPostgresError) -> NoReturn:
    """Fail with CI=true, else skip, and say why."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI=true and no PostgreSQL: {error}")
    pytest.skip(str(error))


def migrated(url: str) -> str:
    engine = make_engine(Settings(database_url=url).url, writes=True)
    schema.migrate(engine)
    engine.dispose()
    return url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "audit.db"
    migrated(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> Iterator[str]:
    """The name of a migrated database that tests copy."""
    with new_postgres_database(postgres_url) as url:
        migrated(url)
        yield make_url(url).database or ""


class new_postgres_database:  # noqa: N801 - used like a function
    """A database of its own for the time of a ``with`` block."""

    def __init__(self, server: str, template: str = "template0") -> None:
        self.server, self.template, self.name = server, template, f"audit_{uuid.uuid4().hex}"

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(statement.encode())

    def __enter__(self) -> str:
        self._execute(f"CREATE DATABASE {self.name} TEMPLATE {self.template}")
        return make_url(self.server).set(database=self.name).render_as_string(hide_password=False)

    def __exit__(self, *_: object) -> None:
        self._execute(f"DROP DATABASE {self.name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def empty_database_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database that was never migrated."""
    if backend == "sqlite":
        (tmp_path / "empty.db").touch(0o600)
        yield f"sqlite:///{tmp_path}/empty.db"
    else:
        with new_postgres_database(request.getfixturevalue("postgres_url")) as url:
            yield url


@pytest.fixture
def database_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database at the newest revision, with nothing in it."""
    if backend == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "audit.db")
        yield f"sqlite:///{tmp_path}/audit.db"
    else:
        server, template = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_template")
        with new_postgres_database(server, template) as url:
            yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(Settings(database_url=database_url).url, writes=True)
    yield engine
    engine.dispose()


@pytest.fixture
def recorder(database_url: str, tmp_path: Path) -> Iterator[Recorder]:
    """A recorder with a spool; the factories save through it."""
    recorder = Recorder(Settings(database_url=database_url).url, spool_path=tmp_path / "spool.db")
    with SaveThrough(recorder):
        yield recorder
    recorder.stop()


def close(app: Flask) -> None:
    """Give back what an app holds: tests make many."""
    context_of(app).recorder.stop()
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def config(database_url: str, tmp_path: Path) -> dict[str, object]:
    return {
        "AUDIT_DATABASE_URL": database_url,
        "AUDIT_SECRET_KEY": SECRET_KEY,
        "AUDIT_DATA_DIR": str(tmp_path / "data"),
    }


@pytest.fixture
def app(config: dict[str, object]) -> Iterator[Flask]:
    app = create_app(config)
    with SaveThrough(context_of(app).recorder):
        yield app
    close(app)


@pytest.fixture
def make_app(config: dict[str, object]) -> Iterator[Callable[..., Flask]]:
    """Makes further apps, processes so to speak, on the same database."""
    made: list[Flask] = []

    def make(**settings: object) -> Flask:
        made.append(create_app({**config, **settings}))
        return made[-1]

    yield make
    for app in made:
        close(app)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="session")
def password_hash() -> str:
    """A real hash of ``PASSWORD``: made once, since it is meant to take long."""
    return hash_password(PASSWORD)


@pytest.fixture
def accounts(app: Flask, password_hash: str) -> dict[Role, str]:
    """An account of each role, named like it, with the password ``PASSWORD``."""
    with app.app_context(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("audit_service.access.accounts.hash_password", lambda _password: password_hash)
        for role in Role:
            add_account(db.session(), role.value, role, PASSWORD, by=ACTOR)
        db.session.commit()
    return {role: role.value for role in Role}


@pytest.fixture
def token(app: Flask) -> dict[str, str]:
    """The headers of somebody who may read everything."""
    with app.app_context():
        headers = {"Authorization": "Bearer " + add_token(db.session(), "test", Scope.READ, by=ACTOR)}
        db.session.commit()
    return headers
