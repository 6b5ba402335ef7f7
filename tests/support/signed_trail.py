"""A signer of a test's own, which signs when it is told to."""

from pathlib import Path

from audit_service.proofs.keys import VerifierKey
from audit_service.proving.log import StoredCheckpoint
from audit_service.settings.table import Settings
from audit_service.signing.database import Database
from audit_service.signing.lifecycle import start_log
from audit_service.signing.signer import Signer
from tests.support.accounts import ACTOR

NAME = "audit.example.org"


class SignedTrail:
    """The log of a trail, and the files of its signer."""

    def __init__(self, url: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.url, self.folder, self.key_file = Settings(database_url=url).url, folder, folder / "signing_key"

    def sign(self) -> StoredCheckpoint:
        """Begin the log unless it has begun, take in all events, and sign them."""
        database = Database(self.url)
        try:
            self.key = start_log(database, self.key_file, NAME, by=ACTOR).key
            signer = Signer(database, self.folder, self.key_file)
            while signer.take_in():
                pass
            signed = signer.sign()
            assert signed
            return signed
        finally:
            database.close()

    @property
    def verifier(self) -> VerifierKey:
        return self.key.verifier

    @property
    def origin(self) -> str:
        return self.key.name
