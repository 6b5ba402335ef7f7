"""Fixtures: every test that takes ``database_url`` runs on SQLite and on a real PostgreSQL."""

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, make_url
from werkzeug.routing import Rule

from audit_service import LoginAudit, create_app
from audit_service.access import passwords
from audit_service.access.accounts import add_account
from audit_service.access.passwords import hash_password, validate_password
from audit_service.access.tokens import add_token
from audit_service.app import db
from audit_service.context import context_of
from audit_service.settings.table import Settings
from audit_service.storage.database import make_engine
from audit_service.trail.recorder import Recorder
from audit_service.vocabulary import Role, Scope
from tests.factories import SaveThrough
from tests.support.accounts import ACTOR, PASSWORD
from tests.support.apps import SECRET_KEY
from tests.support.databases import EmptiedDatabase, migrated, new_postgres_database, without_postgres
from tests.support.host_app import close_host, create_host
from tests.support.postgres import FORGETFUL, NoPostgresError, memory, private_postgres
from tests.support.reader import Reader
from tests.support.signed_trail import SignedTrail


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what was imported, and come less often: it took a sixth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


PATIENCE = 10.0  # seconds that storing an event may take, where no test is about that: the machine may be busy


@pytest.fixture(scope="session", autouse=True)
def rules_compiled_once() -> Iterator[None]:
    """Werkzeug compiles two functions for each rule of each app; the apps of tests have the same rules."""
    compile_builder, compiled = Rule._compile_builder, {}

    def compile_once(rule: Rule, append_unknown: bool = True) -> Any:  # noqa: FBT002 - as Werkzeug has it
        if rule.defaults:
            return compile_builder(rule, append_unknown)
        key = (rule.rule, *rule._trace, append_unknown)
        if key not in compiled:
            compiled[key] = compile_builder(rule, append_unknown)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", compile_once)
        yield


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("AUDIT_") and not name.startswith("AUDIT_TEST_"):
            monkeypatch.delenv(name)


TOLD = pytest.StashKey[dict[str, str]]()
SERVER_URL, NO_SERVER = "audit_server_url", "audit_no_server"  # what a worker of pytest-xdist is told


def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where the one PostgreSQL of this run is; start it before the first worker."""
    config: pytest.Config = node.config
    if TOLD not in config.stash and "AUDIT_TEST_DATABASE_URL" not in os.environ:
        stack = ExitStack()
        config.add_cleanup(stack.close)
        try:
            server = stack.enter_context(private_postgres(*FORGETFUL, parent=memory()))
            config.stash[TOLD] = {SERVER_URL: server.url()}
        except NoPostgresError as error:
            config.stash[TOLD] = {NO_SERVER: str(error)}
    node.workerinput.update(config.stash.get(TOLD, {}))


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A PostgreSQL server where databases may be made; a skip where there is none, a failure with CI=true."""
    told: dict[str, str] = getattr(request.config, "workerinput", {})
    if url := os.environ.get("AUDIT_TEST_DATABASE_URL") or told.get(SERVER_URL):
        yield url
        return
    try:
        if NO_SERVER in told:
            raise NoPostgresError(told[NO_SERVER])
        with private_postgres(*FORGETFUL, parent=memory()) as server:
            yield server.url()
    except NoPostgresError as error:
        without_postgres(error)


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


@pytest.fixture(scope="session")
def emptied_database(postgres_url: str, postgres_template: str) -> Iterator[EmptiedDatabase]:
    """The database of this worker, for one test after the other."""
    with psycopg.connect(postgres_url, autocommit=True) as server:
        database = EmptiedDatabase(server, postgres_url, postgres_template)
        yield database
        database.drop()


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
        emptied: EmptiedDatabase = request.getfixturevalue("emptied_database")
        with emptied.use() as url:
            yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(Settings(database_url=database_url).url, writes=True)
    yield engine
    engine.dispose()


@pytest.fixture
def recorder(database_url: str, tmp_path: Path) -> Iterator[Recorder]:
    """A recorder with a spool; the factories save through it."""
    recorder = Recorder(Settings(database_url=database_url).url, spool_path=tmp_path / "spool.db", timeout=PATIENCE)
    with SaveThrough(recorder):
        yield recorder
    recorder.stop()


@pytest.fixture
def found_trail(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SignedTrail]:
    """A trail that commands find by the environment. Nothing of it is signed yet."""
    monkeypatch.setenv("AUDIT_DATABASE_URL", database_url)
    monkeypatch.setenv("AUDIT_DATA_DIR", str(tmp_path / "data"))
    with closing(SignedTrail(database_url, tmp_path / "signer")) as trail:
        yield trail


@pytest.fixture
def config(database_url: str, tmp_path: Path) -> dict[str, object]:
    return {
        "AUDIT_DATABASE_URL": database_url,
        "AUDIT_SECRET_KEY": SECRET_KEY,
        "AUDIT_WRITE_TIMEOUT": PATIENCE,
        "AUDIT_DATA_DIR": str(tmp_path / "data"),
    }


@pytest.fixture
def app(config: dict[str, object]) -> Iterator[Flask]:
    app = create_app(config)
    with SaveThrough(context_of(app).recorder):
        yield app
    LoginAudit.close(app)


@pytest.fixture
def host(database_url: str, backend: str, tmp_path: Path) -> Iterator[Flask]:
    """Somebody else's app, which has the extension. On PostgreSQL one database holds its tables and the trail's."""
    own = f"sqlite:///{tmp_path}/host.db" if backend == "sqlite" else database_url
    app = create_host(own, AUDIT_DATABASE_URL=database_url, AUDIT_DATA_DIR=str(tmp_path))
    yield app
    close_host(app)


@pytest.fixture
def make_app(config: dict[str, object]) -> Iterator[Callable[..., Flask]]:
    """Makes further apps, processes so to speak, on the same database."""
    made: list[Flask] = []

    def make(**settings: object) -> Flask:
        made.append(create_app({**config, **settings}))
        return made[-1]

    yield make
    for app in made:
        LoginAudit.close(app)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


CHEAP = PasswordHasher(memory_cost=8, time_cost=1, parallelism=1)
CHEAP_HASHING = {"_hasher": lambda: CHEAP, "_stand_in": cache(lambda: CHEAP.hash(""))}
HASHING = {name: getattr(passwords, name) for name in CHEAP_HASHING}


@pytest.fixture(scope="session", autouse=True)
def cheap_hashing() -> Iterator[None]:
    """Passwords are hashed with the least that argon2 takes; tests of hashing use ``real_hashing``."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CHEAP_HASHING.items():
            patch.setattr(passwords, name, value)
        yield


@pytest.fixture
def real_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed as in production."""
    for name, value in HASHING.items():
        monkeypatch.setattr(passwords, name, value)


@pytest.fixture(scope="session")
def password_hash(cheap_hashing: None) -> str:
    return hash_password(PASSWORD)


cached_check = cache(validate_password)  # zxcvbn takes its time, and finds the same each time


@pytest.fixture
def accounts(app: Flask, password_hash: str) -> dict[Role, str]:
    """An account of each role, named like it, with the password ``PASSWORD``."""
    with app.app_context(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("audit_service.access.accounts.hash_password", lambda _password: password_hash)
        patch.setattr("audit_service.access.accounts.validate_password", cached_check)
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


@pytest.fixture
def reader(client: FlaskClient, token: dict[str, str]) -> Reader:
    return Reader(client, token)
