"""Checkpoints go out of the machine, each outlet in a thread of its own: none delays the signer or another one.

Of checkpoints that follow each other fast an outlet gets the newest one. One that takes none now gets it later.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from audit_service.errors import AuditError, SignerStopped
from audit_service.proving.confirmations import Confirmation, read_confirmation, store_confirmation
from audit_service.settings.table import Settings
from audit_service.signing.database import Database
from audit_service.signing.hook import Hook
from audit_service.signing.outlet import Offer, Outlet
from audit_service.signing.stamps import Stamps
from audit_service.signing.witnesses import read_witnesses
from audit_service.storage.outages import DATABASE_ERRORS, driver_error

logger = logging.getLogger("audit_service.signer")

HEARTBEAT = 86_400.0  # seconds after which most outlets get the newest checkpoint again
FIRST_RETRY, LAST_RETRY = 5.0, 600.0  # seconds; each wait is twice the last one
_END = 2.0  # seconds that an outlet has to end


class Publisher:
    """All outlets. To be used by the signer's thread."""

    def __init__(self, settings: Settings) -> None:
        """Begin the threads. An outlet that is not set up as it has to be is told of in the log, and left out."""
        self._stopped: dict[str, SignerStopped] = {}  # by the ids of logs
        self._couriers = [_Courier(outlet, settings.url, self._stopped) for outlet in _outlets(settings)]
        for courier in self._couriers:
            courier.start()

    def publish(self, offer: Offer) -> None:
        """Hand over the newest checkpoint. Waits for nobody."""
        for courier in self._couriers:
            courier.offer(offer)

    def check(self, log_id: str) -> None:
        """Raise ``SignerStopped`` if a witness knows another history of this log; only another log ends that."""
        if stop := self._stopped.get(log_id):
            raise stop

    def close(self) -> None:
        """End all threads, and a hook that runs."""
        for courier in self._couriers:
            courier.end()
        for courier in self._couriers:
            courier.join(_END)


def _outlets(settings: Settings) -> Iterator[Outlet]:
    makers: tuple[tuple[str, Callable[[Settings], Sequence[Outlet]]], ...] = (
        ("given to the hook", _hooks),
        ("given to witnesses", _witnesses),
        ("stamped", _stamps),
    )
    for what, make in makers:
        try:
            yield from make(settings)
        except AuditError as error:
            logger.error("checkpoints are not %s: %s", what, error)  # noqa: TRY400 - no fault of the program


def _hooks(settings: Settings) -> Sequence[Outlet]:
    return [Hook(settings.checkpoint_hook, settings.checkpoint_hook_interval)] if settings.checkpoint_hook else []


def _witnesses(settings: Settings) -> Sequence[Outlet]:
    return read_witnesses(Path(settings.witnesses), partial(_read, settings.url)) if settings.witnesses else []


def _stamps(settings: Settings) -> Sequence[Outlet]:
    return [Stamps(settings.stamp_url, settings.stamp_interval)] if settings.stamp_url else []


class _Courier(threading.Thread):
    """Brings checkpoints to one outlet."""

    def __init__(self, outlet: Outlet, url: URL, stopped: dict[str, SignerStopped]) -> None:
        super().__init__(name=f"publish-{outlet.name}", daemon=True)
        self._outlet, self._url, self._stopped = outlet, url, stopped
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._newest: Offer | None = None
        self._log_id = ""  # of the log whose last confirmation is known
        self._last: Confirmation | None = None
        self._retry_at = 0.0  # by the monotonic clock, as is the time of the last success
        self._taken_at = 0.0

    def offer(self, offer: Offer) -> None:
        with self._changed:
            if offer != self._newest:
                self._newest = offer
                self._changed.notify()

    def end(self) -> None:
        with self._changed:
            self._stopping.set()
            self._changed.notify()

    def run(self) -> None:
        told, delay = "", FIRST_RETRY
        while offer := self._wait():
            try:
                self._bring(offer)
            except SignerStopped as stop:
                self._stopped[offer.log_id] = stop
            except (AuditError, OSError, *DATABASE_ERRORS) as error:
                reason = str(driver_error(error))
                if reason != told and not self._stopping.is_set():
                    told = reason
                    logger.warning("%s has no checkpoint of %d, and gets it later: %s", self.name, offer.size, reason)
            except Exception:  # whatever it is, the next checkpoint may go out
                logger.exception("%s has failed", self.name)
            else:
                if told:
                    logger.warning("%s has the checkpoint of %d", self.name, offer.size)
                told, delay = "", FIRST_RETRY
                continue
            self._retry_at = time.monotonic() + delay
            delay = min(delay * 2, LAST_RETRY)

    def _wait(self) -> Offer | None:
        """Wait until there is something to do, and return it; None in the end."""
        with self._changed:
            while not self._stopping.is_set():
                due = None if self._newest is None else self._due(self._newest)
                left = None if due is None else due - time.monotonic()
                if left is not None and left <= 0:
                    return self._newest
                self._changed.wait(left)
            return None

    def _due(self, offer: Offer) -> float | None:
        """Return when *offer* has to be brought; None if only a newer one has to be."""
        if offer.log_id != self._log_id or self._last is None:
            return self._retry_at
        wait = self._outlet.interval
        if offer.size == self._last.size:
            if not self._outlet.is_repeated:
                return None
            wait = HEARTBEAT
        return max(self._retry_at, self._taken_at + wait)

    def _bring(self, offer: Offer) -> None:
        if offer.log_id != self._log_id:
            with _read(self._url) as connection:
                self._last = read_confirmation(connection, offer.log_id, self._outlet.name)
            self._log_id = offer.log_id
            if self._last and not self._outlet.is_asked_at_start:
                age = (datetime.now(UTC) - self._last.confirmed_at).total_seconds()
                self._taken_at = time.monotonic() - max(age, 0.0)
                return  # to wait until it is due
        line = self._outlet.take(offer, self._last, self._stopping)
        confirmation = Confirmation(self._outlet.name, offer.size, datetime.now(UTC), line)
        with Database(self._url) as database, database.write() as connection:
            store_confirmation(connection, offer.log_id, confirmation)
        self._last, self._taken_at = confirmation, time.monotonic()


@contextmanager
def _read(url: URL) -> Iterator[Connection]:
    """Open the database for reading, for a moment."""
    with Database(url) as database, database.read() as connection:
        yield connection
