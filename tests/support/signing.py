"""A signer at work, in a thread of the tests."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from audit_service.proofs.keys import VerifierKey
from audit_service.proving.confirmations import Confirmation, read_confirmations
from audit_service.proving.log import Log, StoredCheckpoint, read_checkpoint, read_log
from audit_service.settings.table import Settings
from audit_service.signing.database import Database
from audit_service.signing.lifecycle import start_log
from audit_service.signing.loop import sign_forever
from tests.support.accounts import ACTOR
from tests.support.waiting import wait_until


class SignedLog:
    """The log of a database, with what the tests ask of it."""

    _open: ClassVar[list[Database]] = []

    def __init__(self, database_url: str, folder: Path, **settings: object) -> None:
        values = {"database_url": database_url, "data_dir": str(folder), "sign_interval": 0.1, **settings}
        self.settings = Settings(**values)  # type: ignore[arg-type]
        self.settings.make_data_dir()
        self.database = Database(self.settings.url)
        self._open.append(self.database)
        started = start_log(self.database, self.settings.signing_key_path, "audit.example.org", by=ACTOR)
        self.key: VerifierKey = started.key.verifier

    @classmethod
    def close_all(cls) -> None:
        while cls._open:
            cls._open.pop().close()

    def log(self) -> Log:
        with self.database.read() as connection:
            log = read_log(connection)
        assert log
        return log

    def checkpoint(self) -> StoredCheckpoint | None:
        with self.database.read() as connection:
            return read_checkpoint(connection, self.log().log_id)

    def confirmations(self) -> dict[str, Confirmation]:
        with self.database.read() as connection:
            return {each.name: each for each in read_confirmations(connection, self.log().log_id)}

    def is_confirmed(self, name: str, size: int) -> bool:
        found = self.confirmations().get(name)
        return found is not None and found.size == size

    def wait_signed(self, size: int) -> StoredCheckpoint:
        wait_until(lambda: (found := self.checkpoint()) and found.size == size, f"{size} events are not signed")
        found = self.checkpoint()
        assert found
        return found

    @contextlib.contextmanager
    def signer(self) -> Iterator[None]:
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
