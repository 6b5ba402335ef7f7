"""A service with a month of events, and a browser."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser

from audit_service.operations.demo import demo_events
from audit_service.vocabulary import Role
from tests.support.browser import chromium
from tests.support.filled import filled_service

ACCOUNTS = {"ada": Role.ADMIN, "eve": Role.AUDITOR, "carol": Role.USER, "fatima": Role.USER}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a service with the demonstration's month, and accounts for ada, eve, carol and fatima."""
    events = demo_events(datetime.now(UTC))
    with filled_service(tmp_path_factory.mktemp("month"), events, ACCOUNTS) as address:
        yield address
