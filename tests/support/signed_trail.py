"""A trail with its log, and a signer that signs when a test tells it to, or in a thread."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from sqlalchemy import Connection, text

from audit_service.proofs.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from audit_service.proofs.keys import VerifierKey
from audit_service.proofs.note import parse_note
from audit_service.proving.confirmations import Confirmation, read_confirmations
from audit_service.proving.log import Log, StoredCheckpoint, read_checkpoint, read_log
from audit_service.settings.table import Settings
from audit_service.signing.database import Database
from audit_service.signing.key_file import read_keys
from audit_service.signing.lifecycle import start_log
from audit_service.signing.loop import sign_forever
from audit_service.signing.signer import Signer
from audit_service.storage.dialects import is_postgresql
from tests.support.accounts import ACTOR
from tests.support.waiting import wait_until

TABLES = ("login_events", "error_events", "admin_events")
NAME = "audit.example.org"


class SignedTrail:
    """The database, data folder and key of a log, as a signer has them."""

    def __init__(self, url: str, folder: Path, **settings: object) -> None:
        values = {"database_url": url, "data_dir": str(folder), "sign_interval": 0.1, **settings}
        self.settings = Settings(**values)  # type: ignore[arg-type]
        self.folder = self.settings.make_data_dir()
        self.key_file = self.settings.signing_key_path
        self.database = Database(self.settings.url)
        self._is_started = False

    def start(self) -> Log:
        self._is_started = True
        return start_log(self.database, self.key_file, NAME, by=ACTOR).log

    def signer(self, *, trusts_database: bool = False) -> Signer:
        return Signer(self.database, self.folder, self.key_file, trusts_database=trusts_database)

    def sign(self) -> Checkpoint:
        """Start the log unless it was started, and sign all that there is; return the newest checkpoint."""
        if not self._is_started:
            self.start()
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

    def stored(self) -> StoredCheckpoint | None:
        """Return the newest checkpoint as it is stored."""
        with self.database.read() as connection:
            return read_checkpoint(connection, self.log().log_id)

    def note(self) -> bytes:
        """Return the newest checkpoint as a note."""
        stored = self.stored()
        assert stored
        return stored.note

    def newest(self) -> Checkpoint:
        stored = self.stored()
        assert stored
        keys = [key.verifier for key in read_keys(self.key_file)]
        checkpoint = open_checkpoint(stored.note, self.origin, keys)
        assert checkpoint.size == stored.size
        return checkpoint

    @property
    def origin(self) -> str:
        return self.log().origin

    @property
    def verifier(self) -> VerifierKey:
        return read_keys(self.key_file)[0].verifier

    def confirmations(self) -> dict[str, Confirmation]:
        with self.database.read() as connection:
            return {each.name: each for each in read_confirmations(connection, self.log().log_id)}

    def is_confirmed(self, name: str, size: int) -> bool:
        found = self.confirmations().get(name)
        return found is not None and found.size == size

    def wait_signed(self, size: int) -> Checkpoint:
        wait_until(lambda: (found := self.stored()) and found.size == size, f"{size} events are not signed")
        return self.newest()

    @contextmanager
    def signing(self) -> Iterator[None]:
        """A signer at work, ten times a second, until the context ends."""
        stopping = threading.Event()
        nothing = lambda *_: None  # noqa: E731
        thread = threading.Thread(target=sign_forever, args=(self.settings, stopping, nothing), name="signer")
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join(30)
        assert not thread.is_alive()

    @contextmanager
    def tampering(self) -> Iterator[Connection]:
        """A connection of the owner of the tables, who has taken the triggers away."""
        with self.database.write() as connection:
            drop_triggers(connection)
            yield connection

    def go_back(self, head: bytes) -> None:
        """Restore what a backup has of the database and of the data folder, made when the checkpoint *head* was new."""
        checkpoint = parse_checkpoint(parse_note(head).text)
        tables = [*TABLES, "trail_leaves"]
        statements = [f"DELETE FROM {table} WHERE seq > :size" for table in tables]
        statements += [
            f"DELETE FROM {table} WHERE size > :size" for table in ("trail_checkpoints", "trail_confirmations")
        ]
        statements += ["UPDATE trail_head SET size = :size", "UPDATE trail_log SET size = :size, root = :root"]
        with self.tampering() as connection:
            for each in statements:
                connection.execute(text(each), {"size": checkpoint.size, "root": checkpoint.root})
        next(self.folder.glob("trail-head-*")).write_bytes(head)

    def close(self) -> None:
        self.database.close()


class StartedTrail(SignedTrail):
    """A trail whose log is started; ``close_all`` closes all that there are."""

    _open: ClassVar[list["StartedTrail"]] = []

    def __init__(self, url: str, folder: Path, **settings: object) -> None:
        super().__init__(url, folder, **settings)
        self._open.append(self)
        self.start()

    @classmethod
    def close_all(cls) -> None:
        while cls._open:
            cls._open.pop().close()


def drop_triggers(connection: Connection) -> None:
    """Take away what refuses changes of events."""
    if is_postgresql(connection):
        for table in (*TABLES, "trail_head"):
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        return
    for name in connection.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
        connection.execute(text(f"DROP TRIGGER {name}"))
