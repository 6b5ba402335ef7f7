"""A service with a month of events, and a browser."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser
from sqlalchemy.orm import Session

from audit_service.access.accounts import add_account
from audit_service.operations.demo import demo_events
from audit_service.settings.table import Settings
from audit_service.storage.database import make_engine
from audit_service.trail.recorder import Recorder
from audit_service.vocabulary import Role
from tests.support.accounts import ACTOR, PASSWORD
from tests.support.apps import SECRET_KEY
from tests.support.browser import chromium
from tests.support.databases import migrated
from tests.support.server import running_service

ACCOUNTS = {"ada": Role.ADMIN, "eve": Role.AUDITOR, "carol": Role.USER, "fatima": Role.USER}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a service on SQLite with the demonstration's month, and accounts for ada, eve, carol and fatima."""
    folder = tmp_path_factory.mktemp("month")
    url = migrated(f"sqlite:///{folder}/audit.db")
    recorder = Recorder(Settings(database_url=url).url)
    recorder.record_all(demo_events(datetime.now(UTC)))
    recorder.stop()
    engine = make_engine(Settings(database_url=url).url, writes=True)
    with Session(engine) as session, session.begin():
        for name, role in ACCOUNTS.items():
            add_account(session, name, role, PASSWORD, by=ACTOR)
    engine.dispose()
    settings = {"AUDIT_DATABASE_URL": url, "AUDIT_DATA_DIR": folder / "data", "AUDIT_SECRET_KEY": SECRET_KEY}
    with running_service(settings) as address:
        yield address
