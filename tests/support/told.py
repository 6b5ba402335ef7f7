"""What a host app's trail has, and a host app whose trail is out of reach."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from sqlalchemy import select, text

from audit_service import LoginAudit
from audit_service.context import context_of
from audit_service.events.admin import ADMIN_EVENTS
from audit_service.events.base import Kind
from audit_service.events.errors import ERRORS
from audit_service.events.logins import LOGINS
from audit_service.storage.database import make_engine
from audit_service.storage.models import table_of


def logins(app: Flask, *fields: str) -> list[tuple[Any, ...]]:
    """All logins, failed logins and logouts of *app*, in their order; by default what they were, whose, and how."""
    return _rows(app, LOGINS, fields or ("action", "outcome", "reason", "username", "method"))


def errors(app: Flask, *fields: str) -> list[tuple[Any, ...]]:
    return _rows(app, ERRORS, fields)


def admin_events(app: Flask, *fields: str) -> list[tuple[Any, ...]]:
    return _rows(app, ADMIN_EVENTS, fields)


def lose_database(app: Flask) -> None:
    """Let nothing be stored in the trail of *app* any longer."""
    engine = make_engine(context_of(app).settings.url, writes=True)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE trail_head"))
    engine.dispose()


@contextmanager
def closing_trail(app: Flask) -> Iterator[Flask]:
    """Close the trail of *app* at the end, and remove the folder that it has because the app is tested."""
    try:
        yield app
    finally:
        LoginAudit.close(app)
        shutil.rmtree(context_of(app).settings.data_path)


def _rows(app: Flask, kind: Kind, fields: tuple[str, ...]) -> list[tuple[Any, ...]]:
    columns = table_of(kind).c
    with context_of(app).reader.connect() as connection:
        rows = connection.execute(select(*(columns[field] for field in fields)).order_by(columns.seq))
        return [tuple(row) for row in rows]
