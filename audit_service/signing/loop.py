"""The signer at work: a round after the other, until it is told to end."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial

from audit_service.errors import AuditError, SignerStopped
from audit_service.proving.log import lock_log, note_problem, read_log
from audit_service.settings.table import Settings
from audit_service.signing.database import Database
from audit_service.signing.head_file import only_signer
from audit_service.signing.leaf_making import made_ahead
from audit_service.signing.outlet import Offer
from audit_service.signing.publish import Publisher
from audit_service.signing.signer import LogChanged, Signer
from audit_service.signing.thinning import Thinning
from audit_service.storage.outages import DATABASE_ERRORS, driver_error

logger = logging.getLogger("audit_service.signer")

Progress = Callable[[int, int], None]  # events that are leaves, and events that are not yet


def sign_once(database: Database, settings: Settings, *, progress: Progress, trusts_database: bool = False) -> int:
    """Make leaves of all events, and sign; return the size of the tree.

    Raises ``AuditError`` if another signer works with the same data folder, or the signer must not go on.
    """
    with only_signer(settings.make_data_dir()) as is_only:
        if not is_only:
            raise AuditError(_other_signer(settings))
        signer = _open(database, settings, trusts_database=trusts_database)
        _sign_all(signer, settings, threading.Event(), progress)
        signer.go_on()  # also what a witness has said, which only --trust-database takes back
        return signer.size


def sign_forever(settings: Settings, stopping: threading.Event, progress: Progress) -> None:
    """Sign every ``sign_interval`` what is new, until *stopping* is set. No error ends it, but it tells of each once.

    A second signer with the same data folder waits, and goes on when the first one ends.
    """
    with Database(settings.url) as database, closing(Publisher(settings)) as publisher:
        told = ""
        while not stopping.is_set():
            try:
                with only_signer(settings.make_data_dir()) as is_only:
                    if is_only:
                        _Work(database, settings, publisher).run(stopping, progress)
                    why = "" if is_only else f"{_other_signer(settings)}; this one waits until it ends"
            except (AuditError, OSError) as error:  # of the folder: the work tells of its own
                why = f"the signer cannot use its folder, and tries again: {error}"
            if why and why != told:
                logger.warning("%s", why)
            told = why
            stopping.wait(settings.sign_interval)


def _other_signer(settings: Settings) -> str:
    return f"another signer works with {str(settings.data_path)!r}"


class _Work:
    """Rounds, until they are to stop. After any trouble the signer is opened anew, which compares all that it knows."""

    def __init__(self, database: Database, settings: Settings, publisher: Publisher) -> None:
        self._database, self._settings, self._publisher = database, settings, publisher
        self._thinning = Thinning(database)
        self._signer: Signer | None = None
        self._told = ""  # the trouble that there is

    def run(self, stopping: threading.Event, progress: Progress) -> None:
        """Sign until *stopping* is set; at the end also what was recorded last."""
        while not stopping.is_set():
            try:
                self._round(stopping, progress)
            except LogChanged:
                self._signer = None
            except (SignerStopped, AuditError, OSError, *DATABASE_ERRORS) as error:
                self._signer = None
                self._tell(error)
                self._database.close()  # what is wrong may be so for a session only, as that it may not write
            stopping.wait(self._settings.sign_interval)
        if self._signer:
            with suppress(AuditError, LogChanged, OSError, *DATABASE_ERRORS):
                self._signer.take_in()
                self._signer.sign()

    def _round(self, stopping: threading.Event, progress: Progress) -> None:
        signer = self._signer = self._signer or _open(self._database, self._settings)
        self._publisher.check(signer.log.log_id)
        _sign_all(signer, self._settings, stopping, progress)
        signer.go_on()  # only now is it known that nothing stops it
        if self._told:
            logger.warning("the signer goes on with %s", signer.log.origin)
        self._told = ""
        if checkpoint := signer.checkpoint:
            self._publisher.publish(Offer(signer.log.log_id, checkpoint.size, checkpoint.note))
        self._thinning.go_on(signer.log.log_id)

    def _tell(self, error: Exception) -> None:
        """Tell of an *error*, once; of a stop also in the database, for those who ask there."""
        reason = str(driver_error(error))
        if reason == self._told:
            return
        self._told = reason
        if not isinstance(error, SignerStopped):
            logger.warning("the signer cannot work now, and tries again: %s", reason)
            return
        logger.critical("the signer has stopped (%s): %s", error.code, error)
        with suppress(AuditError, OSError, *DATABASE_ERRORS), self._database.write() as connection:
            if log := read_log(connection):
                note_problem(connection, log.log_id, error.code, str(error))


def _open(database: Database, settings: Settings, *, trusts_database: bool = False) -> Signer:
    folder, key_file = settings.data_path, settings.signing_key_path
    opened = partial(Signer, database, folder, key_file, trusts_database=trusts_database)
    try:
        return opened()
    except SignerStopped as error:
        if error.code != "foreign_key":
            raise
    with database.write() as connection:
        lock_log(connection)  # a log that is begun anew at this moment has its key before it is committed
    return opened()


def _sign_all(signer: Signer, settings: Settings, stopping: threading.Event, progress: Progress) -> None:
    """Take in all that is new. A long round is signed in between."""
    signed_at = time.monotonic()
    with made_ahead(settings.url, signer.chunks()) as made:
        while left := signer.take_in(made):
            progress(signer.size, left)
            if stopping.is_set():
                break
            if time.monotonic() - signed_at > settings.sign_interval:
                signer.sign()
                signed_at = time.monotonic()
    progress(signer.size, 0)
    signer.sign()
