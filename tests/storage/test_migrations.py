"""Migrations: up, down, and the same as the models."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.config import main as alembic_main
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from audit_service.access.accounts import add_account, disable, get_account
from audit_service.access.tokens import add_token
from audit_service.errors import NotConfiguredError
from audit_service.events.request_info import network_of
from audit_service.settings.table import Settings
from audit_service.storage import schema
from audit_service.storage.database import make_engine
from audit_service.storage.dialects import is_postgresql
from audit_service.trail.recorder import Recorder
from audit_service.vocabulary import Role, Scope
from tests.factories import AdminFactory, LoginFactory
from tests.support.accounts import ACTOR

PROJECT = Path(__file__).parent.parent.parent


@pytest.fixture
def checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)


def alembic(url: str, *arguments: str) -> int:
    """Run the command in this process; return what it exits with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIT_DATABASE_URL", url)
        try:
            alembic_main(argv=arguments)
        except SystemExit as end:
            return 1 if end.code else 0
    return 0


def test_from_nothing_to_the_newest_and_back(empty_database_url: str) -> None:
    engine = make_engine(Settings(database_url=empty_database_url).url, writes=True)
    with pytest.raises(NotConfiguredError, match="run 'audit-service migrate'"):
        schema.require_newest(engine)
    schema.migrate(engine)
    schema.require_newest(engine)
    schema.check(engine)
    schema.downgrade(engine)
    assert set(inspect(engine).get_table_names()) <= {schema.VERSION_TABLE}
    schema.migrate(engine)
    schema.check(engine)
    engine.dispose()


def test_the_host_may_have_migrations_and_tables_of_its_own(empty_database_url: str) -> None:
    engine = make_engine(Settings(database_url=empty_database_url).url, writes=True)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
        connection.execute(text("INSERT INTO alembic_version VALUES ('ab12cd34ef56')"))
        connection.execute(text("CREATE TABLE accounts (id INTEGER)"))
    schema.migrate(engine)
    schema.check(engine)
    schema.downgrade(engine)
    assert {"alembic_version", "accounts"} <= set(inspect(engine).get_table_names())
    engine.dispose()


def test_an_unknown_revision_is_said_in_one_line(empty_database_url: str) -> None:
    engine = make_engine(Settings(database_url=empty_database_url).url, writes=True)
    schema.migrate(engine)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = 'newer'"))
    with pytest.raises(NotConfiguredError, match="cannot migrate: Can't locate revision identified by 'newer'"):
        schema.migrate(engine)
    engine.dispose()


def test_two_at_once(empty_database_url: str) -> None:
    def migrate() -> str | None:
        command = [sys.executable, "-m", "audit_service.cli", "migrate"]
        environ = {**os.environ, "AUDIT_DATABASE_URL": empty_database_url}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        return done.stderr if done.returncode else None

    with ThreadPoolExecutor(3) as threads:
        errors = [error for error in threads.map(lambda _: migrate(), range(3)) if error]
    assert errors == []


@pytest.mark.usefixtures("checkout")
def test_alembic_in_a_checkout(empty_database_url: str) -> None:
    environ = {**os.environ, "AUDIT_DATABASE_URL": empty_database_url}
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert alembic(empty_database_url, "check") == 0
    assert alembic(empty_database_url, "downgrade", "base") == 0


def test_logins_from_before_networks_get_theirs(empty_database_url: str) -> None:
    engine = make_engine(Settings(database_url=empty_database_url).url, writes=True)
    schema.migrate(engine, "0003")
    addresses = ["192.0.2.7", "192.0.2.255", "2001:db8:1:2:3::4", "::1:2", None]
    insert = """INSERT INTO login_events (id, seq, timestamp, recorded_at, app, remote_addr, action, outcome, username)
        VALUES (:id, :seq, :time, :time, 'shop', :address, 'login', 'success', 'ada')"""
    if is_postgresql(engine):
        insert = insert.replace(":address", "CAST(:address AS INET)")
    with engine.begin() as connection:
        for seq, address in enumerate(addresses, 1):
            values = {"id": f"{seq:032x}", "seq": seq, "time": "2026-01-31 12:00:00.000000", "address": address}
            connection.execute(text(insert), values)
    schema.migrate(engine)
    with engine.connect() as connection:
        networks = connection.execute(text("SELECT network FROM login_events ORDER BY seq")).scalars().all()
    assert networks == [network_of(address) for address in addresses]
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text("UPDATE login_events SET username = 'eve'"))
    engine.dispose()


def test_a_downgrade_says_what_it_would_lose_and_wants_to_be_told(engine: Engine, recorder: Recorder) -> None:
    LoginFactory()
    AdminFactory()
    with Session(engine) as session, session.begin():
        add_account(session, "ada", Role.USER, "correct horse battery", by=ACTOR)
        disable(session, get_account(session, "ada"), by=ACTOR)
        add_token(session, "ci", Scope.READ, by=ACTOR, expires_at=datetime.now(UTC) + timedelta(days=1))
    lost = {
        "0005": "the identity by which a spool knows this trail \\(1\\)",
        "0003": "admin events \\(4\\), that an account is disabled, so that it is let in again \\(1\\), "
        "that a token expires \\(1\\)",
        "0001": "logins, failed logins and logouts \\(1\\), accounts \\(1\\), tokens \\(1\\)",
    }
    told: list[str] = []
    for revision, what in lost.items():
        with pytest.raises(NotConfiguredError, match=f"below {revision} loses for good: {what}. Nothing was changed"):
            schema.downgrade(engine, lose=told)
        schema.require_newest(engine)
        told.append(revision)
    schema.downgrade(engine, lose=told)
    assert set(inspect(engine).get_table_names()) <= {schema.VERSION_TABLE}


def test_what_was_erased_is_empty_in_the_tables_before(engine: Engine, recorder: Recorder) -> None:
    LoginFactory.create()
    insert = (
        """INSERT INTO {} (id, seq, timestamp, recorded_at, app, {}) VALUES (:id, :seq, :time, :time, 'shop', {})"""
    )
    rows = {
        "login_events": ("action, outcome", "'login', 'success'"),
        "error_events": ("exception_type, fingerprint", "'KeyError', 'f'"),
        "admin_events": ("action", "'account_added'"),
    }
    with engine.begin() as connection:
        for seq, (table, (names, values)) in enumerate(rows.items(), 2):
            given = {"id": f"{seq:032x}", "seq": seq, "time": "2026-01-31 12:00:00.000000"}
            connection.execute(text(insert.format(table, names, values)), given)
        erasure = "INSERT INTO trail_erasures (seq, field_group, commitment, by_seq) VALUES (2, 'who', :hash, 5)"
        connection.execute(text(erasure), {"hash": bytes(32)})
    with pytest.raises(NotConfiguredError, match=r"loses for good: what was erased from events \(1\)"):
        schema.downgrade(engine, "0006")
    schema.downgrade(engine, "0006", lose=["0007"])
    with engine.connect() as connection:
        for table, column in (("login_events", "username"), ("error_events", "traceback"), ("admin_events", "actor")):
            assert connection.execute(text(f"SELECT {column} FROM {table} WHERE seq > 1")).scalar_one() == ""
        if not is_postgresql(engine):
            assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
    for change in ("UPDATE login_events SET username = 'eve'", "DELETE FROM login_events"):
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(change))


@pytest.mark.usefixtures("checkout")
def test_alembic_is_told_on_its_command_line(
    database_url: str, recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    LoginFactory()
    assert alembic(database_url, "downgrade", "0004") == 1
    said = capsys.readouterr()
    assert "alembic -x lose=0005 downgrade" in said.out + said.err
    assert alembic(database_url, "-x", "lose=0005,0003", "downgrade", "0004") == 0
