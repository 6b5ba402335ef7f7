"""``AuditHandler``: exceptions that an app logs become error events."""

import logging
from contextvars import ContextVar

from flask import Flask, current_app, has_app_context

from audit_service.adapters import celery_jobs
from audit_service.context import EXTENSION
from audit_service.receivers import record_error

_is_recording: ContextVar[bool] = ContextVar("audit_service.is_recording", default=False)
_OWN = "audit_service"
_OWN_THREADS = ("audit-writer", "audit-keeper")  # an event waits for them: their own would wait for ever


class AuditHandler(logging.Handler):
    """Records the exception of a log record that has one: of ``logger.exception(…)`` and of ``exc_info=True``.

    It takes the facts of the current request, if there is one, and never raises. It passes over what this package logs
    itself, what is logged while an exception is recorded, and failed jobs of Celery, which ``LoginAudit`` records.
    """

    def __init__(self, app: Flask | None = None, level: int = logging.ERROR) -> None:
        """Record exceptions of the current app, or only of *app*, and those outside of any app context as its own."""
        super().__init__(level)
        self._app = app

    def handle(self, record: logging.LogRecord) -> bool:
        """Record what the filters let pass.

        No lock is held meanwhile: what another thread logs must not wait for the database.
        """
        passed: object = self.filter(record)  # from Python 3.12 on a filter may return another record
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Record the exception of *record*."""
        error = record.exc_info[1] if record.exc_info else None
        app = self._app_of(record)
        if error is None or app is None or _is_recording.get():
            return
        token = _is_recording.set(True)
        try:
            record_error(error, app)
        except Exception:  # noqa: BLE001 - the contract of a handler
            self.handleError(record)
        finally:
            _is_recording.reset(token)

    def _app_of(self, record: logging.LogRecord) -> Flask | None:
        """Return the app whose exception it is; None if it is none of an app that this handler is for."""
        if f"{record.name}.".startswith((f"{_OWN}.", f"{celery_jobs.LOGGER}.")) or record.threadName in _OWN_THREADS:
            return None
        current: Flask | None = current_app._get_current_object() if has_app_context() else None  # type: ignore[attr-defined]  # noqa: SLF001
        app = current or self._app
        is_other = self._app not in (None, app)
        return None if app is None or is_other or EXTENSION not in app.extensions else app
