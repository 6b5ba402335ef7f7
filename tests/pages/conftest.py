"""A service with a month of events, and a browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browser import chromium
from tests.support.filled import served_month


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser, which ends with the module: as long as it runs, no async view of Flask can run in this thread."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a service with the demonstration's month, and accounts for ada, eve, carol and fatima."""
    with served_month(tmp_path_factory.mktemp("month")) as url:
        yield url
