"""The database that a command works on: that of the app whose ``flask audit`` it is, or of the settings."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from flask import current_app, has_app_context
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from audit_service.context import EXTENSION, current_context
from audit_service.errors import NotConfiguredError
from audit_service.events.admin import Actor
from audit_service.operations.host_migrations import migration_fault
from audit_service.settings.environment import load_settings
from audit_service.settings.table import Settings, is_in_memory
from audit_service.storage.database import make_engine, sqlite_path
from audit_service.storage.dialects import is_sqlite
from audit_service.storage.schema import require_newest
from audit_service.trail.identity import target_of
from audit_service.values import limits
from audit_service.values.text import clean


def current_settings() -> Settings:
    """Return the settings of the app whose ``flask audit`` this is; outside of one, those of the environment."""
    return current_context().settings if _is_in_app() else load_settings()


def actor() -> Actor:
    """Return the system's user that runs the command, as ``cli:NAME``, whatever the environment says."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without a name
        user = str(os.getuid())
    app = current_context().app_name if _is_in_app() else load_settings().app_name
    return Actor(name=clean(f"cli:{user}", limits.USERNAME), app=app or "audit_service")


def app_fault() -> str | None:
    """Return what is wrong with the migrations of the app whose ``flask audit`` this is, None without an app."""
    return migration_fault(current_app) if _is_in_app() else None


def is_made_elsewhere(settings: Settings) -> bool:
    """Tell whether a migration would make a SQLite file outside the data folder."""
    if settings.is_embedded or not is_sqlite(settings.url) or is_in_memory(settings.url):
        return False
    path = sqlite_path(settings.url)
    return path.parent != settings.data_path and path.parent.is_dir() and not path.exists()


@contextmanager
def open_engine(*, writes: bool = False, may_be_new: bool = False) -> Iterator[Engine]:
    """Open the database, whatever its revision; only with *writes* does it take SQLite's write lock.

    The embedded one must be there, unless it *may_be_new*: for the migration.
    """
    settings = current_settings()
    if settings.is_embedded and may_be_new:
        settings.make_data_dir()
    elif settings.is_embedded and not Path(str(settings.url.database)).exists():
        remedy = "'flask audit migrate'" if _is_in_app() else "'audit-service setup'"
        raise NotConfiguredError(f"there is no database in {settings.data_dir} (AUDIT_DATA_DIR): run {remedy}")
    engine = make_engine(settings.url, writes=writes)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def open_session() -> Iterator[Session]:
    """Open a session for reading, on a database at the newest revision.

    Raises ``NotConfiguredError`` for a database at another revision.
    """
    with open_engine() as engine:
        require_newest(engine)
        with Session(engine) as session, session.begin():
            yield session


@contextmanager
def change(*, quiet: bool = False) -> Iterator[Session]:
    """Open a session for a change, commit it, and unless *quiet* name the changed database on standard error.

    Raises ``NotConfiguredError`` for a database at another revision.
    """
    with open_engine(writes=True) as engine:
        require_newest(engine)
        with Session(engine) as session, session.begin():
            yield session
    if not quiet:
        click.echo(f"changed in the database {target_of(engine.url)}", err=True)


def _is_in_app() -> bool:
    return has_app_context() and EXTENSION in current_app.extensions
