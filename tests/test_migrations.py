"""Migrations: up, down, and the same as the models."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from audit_service import schema
from audit_service.database import make_engine
from audit_service.errors import NotConfiguredError
from audit_service.settings import Settings

PROJECT = Path(__file__).parent.parent


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


def test_alembic_in_a_checkout(empty_database_url: str) -> None:
    environ = {**os.environ, "AUDIT_DATABASE_URL": empty_database_url}
    for command in (["upgrade", "head"], ["check"], ["downgrade", "base"]):
        alembic = [sys.executable, "-m", "alembic", *command]
        done = subprocess.run(alembic, env=environ, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
