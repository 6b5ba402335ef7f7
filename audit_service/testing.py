"""For the tests of an app with ``LoginAudit``: a pytest fixture that lists what was recorded.

Import it in ``conftest.py``, beside a fixture ``app`` that returns the Flask app: ``from audit_service.testing import
recorded``.
"""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from audit_service.context import context_of
from audit_service.events.admin import ADMIN_EVENTS, AdminItem
from audit_service.events.base import Kind
from audit_service.events.errors import ERRORS, ErrorItem
from audit_service.events.logins import LOGINS, LoginItem
from audit_service.history.query import list_events
from audit_service.history.question import Order, Question

LIMIT = 10_000  # events that are listed at most


class Recorded:
    """What the trail of an app holds, each list in the order of recording."""

    def __init__(self, app: Flask) -> None:
        """Raises ``NotConfiguredError`` if *app* has no trail."""
        self._reader = context_of(app).reader

    @property
    def logins(self) -> list[LoginItem]:
        """The logins, failed logins and logouts."""
        return self._list(LOGINS)

    @property
    def errors(self) -> list[ErrorItem]:
        """The unhandled exceptions, and those of ``record_error`` and ``AuditHandler``."""
        return self._list(ERRORS)

    @property
    def admin_events(self) -> list[AdminItem]:
        """The changes of tokens, and the looks at the history."""
        return self._list(ADMIN_EVENTS)

    def _list(self, kind: Kind) -> list[Any]:
        question = Question(kind=kind, filters=kind.filters(), order=Order.ARRIVAL)
        with Session(self._reader) as session:
            return list_events(session, question, limit=LIMIT)[0]


@pytest.fixture
def recorded(app: Flask) -> Recorded:
    """Return what the app of the fixture ``app`` has recorded; each list is read when it is asked for."""
    return Recorded(app)
