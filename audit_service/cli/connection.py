"""The database that the settings name, for a command."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from audit_service.errors import NotConfiguredError
from audit_service.events.admin import Actor
from audit_service.settings.environment import load_settings
from audit_service.settings.table import Settings
from audit_service.storage.database import make_engine
from audit_service.storage.schema import require_newest
from audit_service.values import limits
from audit_service.values.text import clean


def actor(settings: Settings | None = None) -> Actor:
    """Return the system's user that runs the command, as ``cli:NAME``, whatever the environment says."""
    settings = settings or load_settings()
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without a name
        user = str(os.getuid())
    return Actor(name=clean(f"cli:{user}", limits.USERNAME), app=settings.app_name or "audit_service")


@contextmanager
def open_engine(
    settings: Settings | None = None, *, writes: bool = False, may_be_new: bool = False
) -> Iterator[Engine]:
    """Open the database, whatever its revision; only with *writes* does it take SQLite's write lock.

    The embedded one must be there, unless it *may_be_new*: for the migration.
    """
    settings = settings or load_settings()
    if settings.is_embedded and may_be_new:
        settings.make_data_dir()
    elif settings.is_embedded and not Path(str(settings.url.database)).exists():
        raise NotConfiguredError(
            f"there is no database in {settings.data_dir} (AUDIT_DATA_DIR): run 'audit-service setup'"
        )
    engine = make_engine(settings.url, writes=writes)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def open_session(*, writes: bool = False) -> Iterator[Session]:
    """Open a session on a database at the newest revision, and commit it at the end.

    Raises ``NotConfiguredError`` for a database at another revision.
    """
    with open_engine(writes=writes) as engine:
        require_newest(engine)
        with Session(engine) as session, session.begin():
            yield session
