"""Old checkpoints of which one an hour is kept: a signer makes millions a year, and each says what a later one says."""

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from sqlalchemy import Text, cast, delete, select

from audit_service.signing.database import Database
from audit_service.storage.log_models import TrailCheckpoint, TrailConfirmation

KEPT = timedelta(days=7)  # for which every checkpoint is kept
INTERVAL = 3600.0  # seconds between two looks
BATCH = 2000  # checkpoints of one look; while there are more, the next one follows at once

_HOUR = 13  # characters of 2026-01-02 03


class Thinning:
    """Deletes checkpoints that are older than ``KEPT``, but for the last of each hour.

    Those that a witness, a hook or a time-stamping authority has confirmed stay, and so do those that are signed by two
    keys, which tell of the change from one to the other. For one thread.
    """

    def __init__(self, database: Database) -> None:
        """Look at *database* at once when it is asked to go on."""
        self._database = database
        self._log_id = ""
        self._after = 0  # the size from which on checkpoints were not looked at
        self._due = 0.0  # on the monotonic clock

    def go_on(self, log_id: str) -> int:
        """Look at the next checkpoints of a log, if it is time; return how many were deleted.

        Raises what SQLAlchemy raises.
        """
        if log_id != self._log_id:
            self._log_id, self._after, self._due = log_id, 0, 0.0
        if time.monotonic() < self._due:
            return 0
        doomed, more = self._doomed()
        if doomed:
            with self._database.write() as connection:
                own = TrailCheckpoint.log_id == log_id
                connection.execute(delete(TrailCheckpoint).where(own, TrailCheckpoint.size.in_(doomed)))
        self._due = 0.0 if more else time.monotonic() + INTERVAL
        return len(doomed)

    def _doomed(self) -> tuple[list[int], bool]:
        """Return the sizes of checkpoints that are not kept, and whether there are more to look at."""
        of_log, size = TrailCheckpoint.log_id == self._log_id, TrailCheckpoint.size
        by_two_keys = TrailCheckpoint.note.like("%\n— %\n— %")
        query = select(size, cast(TrailCheckpoint.signed_at, Text).label("signed_at"), by_two_keys.label("by_two_keys"))
        query = query.where(of_log, size >= self._after, TrailCheckpoint.signed_at < datetime.now(UTC) - KEPT)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(size).limit(BATCH)).all()
            if not rows:
                return [], False
            span = TrailConfirmation.size.between(rows[0].size, rows[-1].size)
            confirmed = select(TrailConfirmation.size).where(TrailConfirmation.log_id == self._log_id, span)
            published = set(connection.scalars(confirmed))
        self._after = rows[-1].size
        doomed = [
            one.size
            for one, later in pairwise(rows)
            if one.signed_at[:_HOUR] == later.signed_at[:_HOUR] and not one.by_two_keys and one.size not in published
        ]
        return doomed, len(rows) == BATCH
