"""``audit-service demo`` fills an empty database, once, and no other."""

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, func, select

from audit_service.events.kinds import KINDS
from audit_service.storage.models import Account, table_of
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.commands import run, succeed

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def environ(config: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in config.items():
        monkeypatch.setenv(name, str(value))


def counts(engine: Engine) -> list[int]:
    """The numbers of events of each kind, and of accounts."""
    with engine.connect() as connection:
        tables = [*map(table_of, KINDS), Account.__table__]
        return [connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]


def test_an_empty_database_is_filled_once(client: FlaskClient, engine: Engine) -> None:
    said = succeed("demo")
    filled = counts(engine)
    assert all(filled), filled
    (password,) = re.findall(r"with the password (\S+)", said)
    for name, role in (("ada", "admin"), ("eve", "auditor"), ("carol", "user")):
        assert f"{name} ({role})" in said
        assert client.post("/login/", data={"username": name, "password": password}).status_code == 200
        assert client.get("/").get_json() == {"username": name, "role": role}
    before = counts(engine)
    assert "there already" in succeed("demo")
    assert counts(engine) == before


@pytest.mark.parametrize("make", [LoginFactory, ErrorFactory, AdminFactory])
def test_one_with_events_is_left_as_it_is(make: Callable[[], object], client: FlaskClient, engine: Engine) -> None:
    make()
    before = counts(engine)
    refused = run("demo")
    assert (refused.exit_code, "events of its own" in refused.stderr) == (1, True), refused.output
    assert counts(engine) == before


def test_one_with_accounts_is_left_as_it_is(engine: Engine) -> None:
    succeed("accounts", "add", "ada", "--role", "admin", "--password-stdin", stdin=PASSWORD)
    before = counts(engine)
    assert run("demo").exit_code == 1
    assert counts(engine) == before
