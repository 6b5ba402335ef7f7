"""How the trail of an app is set up, in words."""

from contextlib import closing
from datetime import UTC, datetime

from blinker import ANY
from flask import Flask
from sqlalchemy import Engine, select

from audit_service.context import AuditContext, context_of
from audit_service.operations.host_migrations import migration_fault
from audit_service.operations.log_state import log_lines
from audit_service.proving.status import read_status
from audit_service.receivers import RECEIVERS
from audit_service.settings.host import is_short_lived
from audit_service.storage import schema
from audit_service.storage.models import TrailHead
from audit_service.storage.outages import DATABASE_ERRORS, driver_error
from audit_service.storage.sqlite_file import MissingError
from audit_service.trail.identity import read_trail
from audit_service.trail.spool import Spool


def status_of(app: Flask) -> dict[str, str]:
    """Return what there is to know of the trail of *app*, by name. Of a database that is away it says why.

    Raises ``NotConfiguredError`` if the app has no trail.
    """
    audit = context_of(app)
    connected = [signal.name for signal, receiver in RECEIVERS.items() if receiver in signal.receivers_for(ANY)]
    return {
        "app": audit.app_name,
        "database": f"{audit.recorder.identity.target}{_note(app, audit)}",
        **_state(audit.reader),
        **({"warning": fault} if (fault := migration_fault(app)) else {}),
        "spool": _spool(audit),
        "signals": ", ".join(connected) or "none is connected",
        "adapters": ", ".join(sorted(audit.adapters)) or "none yet; the first request looks for them again",
        "readers": "read tokens" + (", and sessions as session_viewer says" if audit.session_viewer else ""),
    }


def _note(app: Flask, audit: AuditContext) -> str:
    if is_short_lived(app):
        return " (temporary: the app is tested, or its own database is in memory)"
    schemas = str(audit.settings.url.query.get("options", "")).rpartition("search_path=")[2]  # the last one counts
    return f" (schema {schemas})" if schemas else ""


def _state(reader: Engine) -> dict[str, str]:
    try:
        with reader.connect() as connection:
            revision = schema.read_revision(connection)
            if fault := schema.fault_of(revision):
                return {"revision": f"{revision or 'none'}: {fault}"}
            size = connection.scalar(select(TrailHead.size))
            trail = read_trail(connection)
            log = read_status(connection)
    except DATABASE_ERRORS as error:
        if isinstance(driver_error(error), MissingError):
            return {"revision": "none: there is no database yet, run 'flask audit migrate'"}
        return {"revision": f"unknown: {driver_error(error)}"}
    return {
        "revision": f"{revision}, the newest",
        "trail": str(trail),
        "events": f"{size:,}",
        **(log_lines(log, datetime.now(UTC)) if log else {"log": "none: nothing proves the history"}),
    }


def _spool(audit: AuditContext) -> str:
    if audit.recorder.spool_path is None:
        return "off"
    with closing(Spool(audit.recorder.spool_path, audit.recorder.identity)) as spool:
        state = spool.state()
    return f"{audit.recorder.spool_path}: {state.length} waiting, {state.rejected} rejected, {state.foreign} foreign"
