"""A trail with its log, and a signer, for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, text

from audit_service.proofs.checkpoint import Checkpoint, open_checkpoint
from audit_service.proving.log import Log, read_checkpoint, read_log
from audit_service.settings.table import Settings
from audit_service.signing.database import Database
from audit_service.signing.key_file import read_keys
from audit_service.signing.lifecycle import start_log
from audit_service.signing.signer import Signer
from audit_service.storage.dialects import is_postgresql
from tests.support.accounts import ACTOR

EVENTS = ("login_events", "error_events", "admin_events")


class SignedTrail:
    """The database, data folder and key of a log, as a signer has them."""

    def __init__(self, url: str, folder: Path) -> None:
        self.settings = Settings(database_url=url, data_dir=str(folder))
        self.folder = self.settings.make_data_dir()
        self.key_file = self.settings.signing_key_path
        self.database = Database(self.settings.url)

    def start(self) -> Log:
        return start_log(self.database, self.key_file, "tests.example", by=ACTOR).log

    def signer(self, *, trusts_database: bool = False) -> Signer:
        return Signer(self.database, self.folder, self.key_file, trusts_database=trusts_database)

    def sign(self) -> Checkpoint:
        """Sign all that there is, with a signer that was opened anew; return the newest checkpoint."""
        signer = self.signer()
        while signer.take_in():
            pass
        signer.sign()
        return self.newest()

    def log(self) -> Log:
        with self.database.read() as connection:
            log = read_log(connection)
        assert log
        return log

    def newest(self) -> Checkpoint:
        log = self.log()
        with self.database.read() as connection:
            stored = read_checkpoint(connection, log.log_id)
        assert stored
        checkpoint = open_checkpoint(stored.note, log.origin, [key.verifier for key in read_keys(self.key_file)])
        assert checkpoint.size == stored.size
        return checkpoint

    @contextmanager
    def tampering(self) -> Iterator[Connection]:
        """A connection of the owner of the tables, who has taken the triggers away."""
        with self.database.write() as connection:
            drop_triggers(connection)
            yield connection


def drop_triggers(connection: Connection) -> None:
    """Take away what refuses changes of events."""
    if is_postgresql(connection):
        for table in (*EVENTS, "trail_head"):
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        return
    for name in connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
        connection.execute(text(f"DROP TRIGGER {name}"))
