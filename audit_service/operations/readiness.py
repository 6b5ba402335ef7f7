"""Whether this process can do its work, as ``GET /readyz`` tells it: open to all, so cheap to ask."""

import logging
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from flask import current_app

from audit_service.context import current_context, read_session
from audit_service.operations.log_state import log_part, patience
from audit_service.proving.status import LogState, read_status
from audit_service.storage import schema
from audit_service.storage.outages import DATABASE_ERRORS, NOT_MIGRATED, is_outage, is_unmigrated
from audit_service.trail.spool import Spool

logger = logging.getLogger("audit_service")

INTERVAL = 1.0  # seconds that an answer is good for
LAST = "audit_service.operations.readiness"


@dataclass
class _Last:
    """The last answer of an app in this process."""

    making: threading.Lock = field(default_factory=threading.Lock)
    good_until: float = 0.0
    answer: tuple[bool, dict[str, Any]] | None = None
    spool_error: str = ""


def readiness() -> tuple[bool, dict[str, Any]]:
    """Tell whether logins can be checked and recorded, and why, or why not.

    That the log is not signed makes it "degraded", which is ready, too: logins are recorded, and can be signed later.
    The answer is made once a second at most; requests in between get the last one. The counters are those of the
    process that answers; the spool is that of the machine. Ages are in seconds.
    """
    last: _Last = current_app.extensions.setdefault(LAST, _Last())
    answer = last.answer
    if answer is not None and (time.monotonic() < last.good_until or last.making.locked()):
        return answer
    with last.making:
        if last.answer is None or time.monotonic() >= last.good_until:
            last.answer = _look(last)
            last.good_until = time.monotonic() + INTERVAL
        return last.answer


def _look(last: _Last) -> tuple[bool, dict[str, Any]]:
    recorder = current_context().recorder
    newest = schema.newest_revision()
    log: dict[str, Any] | str = "unknown"
    try:
        revision = schema.read_revision(read_session().connection())
        fault = schema.fault_of(revision)
        database = "not migrated" if fault else "ok"
        if not fault:
            log = log_part(
                read_status(read_session().connection()), datetime.now(UTC), patience(current_context().settings)
            )
    except DATABASE_ERRORS as error:
        if is_unmigrated(error):
            revision, database, fault = None, "not migrated", NOT_MIGRATED
        elif is_outage(error):
            revision, database, fault = None, "away", None
        else:
            raise
    spool: dict[str, Any] | str = "off"
    if recorder.spool_path:
        try:
            with closing(Spool(recorder.spool_path, recorder.identity)) as file:
                spool = file.state()._asdict()
            last.spool_error = ""
        except (OSError, sqlite3.Error) as error:
            spool = "cannot be used"  # the log says why: this answer is open to all
            if str(error) != last.spool_error:
                logger.warning("the spool cannot be used: %s", error)
            last.spool_error = str(error)
    trail_is_up = recorder.is_up()
    is_ready = database == "ok" and (trail_is_up or isinstance(spool, dict))
    return is_ready, {
        "status": _word(log) if is_ready else "not ready",
        "database": database,
        "revision": revision,
        "newest_revision": newest,
        **({"remedy": fault} if fault else {}),
        "trail": "ok" if trail_is_up else "away",
        "log": log,
        "spool": spool,
        "recorder": {"queued": recorder.queue_length(), **asdict(recorder.counters)},
    }


def _word(log: dict[str, Any] | str) -> str:
    is_signed = isinstance(log, str) or log["state"] == LogState.SIGNING
    return "ready" if is_signed else "degraded"
