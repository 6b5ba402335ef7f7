"""What is left of erased data in the files of a database, and in the spool beside it: freed pages are written anew."""

import time
from pathlib import Path

from sqlalchemy import URL, text

from audit_service.signing.database import PATIENCE
from audit_service.storage import sqlite_file
from audit_service.storage.database import make_engine, sqlite_path
from audit_service.storage.dialects import is_sqlite
from audit_service.storage.log_models import TrailLeaf
from audit_service.storage.models import AdminEvent, ErrorEvent, KnownSession, LoginEvent, RefusedAttempts
from audit_service.trail.turnstile import Turnstile

_TABLES = [
    str(model.__tablename__) for model in (LoginEvent, ErrorEvent, AdminEvent, TrailLeaf, KnownSession, RefusedAttempts)
]
_REMEDY = "name the right one (AUDIT_DATABASE_URL, AUDIT_DATA_DIR)"


def clean(url: URL) -> bool:
    """Free what was deleted in the database at *url*; return whether nothing keeps it.

    SQLite's file is written anew, and its log emptied; on PostgreSQL the tables are vacuumed, and analysed, since the
    planner remembers frequent values. On SQLite others who write wait for it; False when readers keep the log. Raises
    what SQLAlchemy or ``sqlite3`` raises.
    """
    if is_sqlite(url):
        with Turnstile(sqlite_path(url)).passed(time.monotonic() + PATIENCE):
            return clean_file(sqlite_path(url))
    engine = make_engine(url)
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(f"VACUUM (ANALYZE) {', '.join(_TABLES)}"))
    finally:
        engine.dispose()
    return True


def clean_file(path: Path) -> bool:
    """Write a SQLite file anew, and empty its log; return whether nobody who reads has kept that from it."""
    connection = sqlite_file.connect(path, _REMEDY, timeout=PATIENCE)
    try:
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute("VACUUM")
        is_busy, _written, _finished = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not is_busy
    finally:
        connection.close()
