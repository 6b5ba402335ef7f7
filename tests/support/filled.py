"""The service with a trail that is filled before it starts."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.orm import Session

from audit_service.access.accounts import add_account
from audit_service.access.tokens import add_token
from audit_service.events.base import NewEvent
from audit_service.operations.demo import demo_events
from audit_service.settings.table import Settings
from audit_service.storage.database import make_engine
from audit_service.trail.recorder import Recorder
from audit_service.vocabulary import Role, Scope
from tests.support.accounts import ACTOR, PASSWORD
from tests.support.apps import SECRET_KEY
from tests.support.databases import migrated
from tests.support.server import running_service

ACCOUNTS = {"ada": Role.ADMIN, "eve": Role.AUDITOR, "carol": Role.USER, "fatima": Role.USER}


def served_month(folder: Path) -> AbstractContextManager[str]:
    """Start a service with the month of the demonstration, and with ``ACCOUNTS``."""
    return filled_service(folder, demo_events(datetime.now(UTC)), ACCOUNTS)


@contextmanager
def filled_service(
    folder: Path, events: Sequence[NewEvent], accounts: Mapping[str, Role], tokens: Sequence[str] = ()
) -> Iterator[str]:
    """Start a service on SQLite in *folder*; yield its URL. Each account has the password ``PASSWORD``."""
    url = migrated(f"sqlite:///{folder}/audit.db")
    recorder = Recorder(Settings(database_url=url).url)
    recorder.record_all(events)
    recorder.stop()
    engine = make_engine(Settings(database_url=url).url, writes=True)
    with Session(engine) as session, session.begin():
        for name, role in accounts.items():
            add_account(session, name, role, PASSWORD, by=ACTOR)
        for name in tokens:
            add_token(session, name, Scope.READ, by=ACTOR)
    engine.dispose()
    settings = {"AUDIT_DATABASE_URL": url, "AUDIT_DATA_DIR": folder / "data", "AUDIT_SECRET_KEY": SECRET_KEY}
    with running_service(settings) as address:
        yield address
