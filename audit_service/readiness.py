"""Whether this process can do its work, as ``GET /readyz`` tells it."""

import sqlite3
from contextlib import closing
from dataclasses import asdict
from typing import Any

from audit_service import schema
from audit_service.context import current_context, read_session
from audit_service.outages import DATABASE_ERRORS, is_outage
from audit_service.trail.spool import Spool


def readiness() -> tuple[bool, dict[str, Any]]:
    """Tell whether logins can be checked and recorded, and why, or why not.

    The counters are those of the process that answers; the spool is that of the machine. Ages are in seconds.
    """
    recorder = current_context().recorder
    newest = schema.newest_revision()
    try:
        revision = schema.read_revision(read_session().connection())
        fault = schema.fault_of(revision)
        database = "not migrated" if fault else "ok"
    except DATABASE_ERRORS as error:
        if not is_outage(error):
            raise
        revision, database, fault = None, "away", None
    spool: dict[str, Any] | str = "off"
    if recorder.spool_path:
        try:
            with closing(Spool(recorder.spool_path)) as file:
                spool = file.state()._asdict()
        except (OSError, sqlite3.Error) as error:
            spool = f"cannot be used: {error}"
    trail_is_up = recorder.is_up()
    is_ready = database == "ok" and (trail_is_up or isinstance(spool, dict))
    return is_ready, {
        "status": "ready" if is_ready else "not ready",
        "database": database,
        "revision": revision,
        "newest_revision": newest,
        **({"remedy": fault} if fault else {}),
        "trail": "ok" if trail_is_up else "away",
        "spool": spool,
        "recorder": {"queued": recorder.queue_length(), **asdict(recorder.counters)},
    }
