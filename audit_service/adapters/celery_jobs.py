"""Celery: a job that fails becomes an error event of the Flask app that the job belongs to.

It belongs to the app whose ``app.extensions["celery"]`` is the Celery app, as Flask's documentation sets it up.
"""

import logging
import sys
import weakref
from typing import Any

from flask import Flask

from audit_service.context import context_of
from audit_service.events.request_info import Client, Target
from audit_service.values import limits
from audit_service.values.text import clean

LOGGER = "celery.app.trace"  # Celery logs each failed job with it
logger = logging.getLogger("audit_service")

_apps: weakref.WeakSet[Flask] = weakref.WeakSet()


def connect(app: Flask) -> None:
    """Listen for failed jobs of *app*, if Celery is imported: a worker has done that before it imports the app."""
    if "celery" in sys.modules:
        from celery.signals import task_failure  # noqa: PLC0415

        _apps.add(app)
        task_failure.connect(on_failure)


def on_failure(sender: Any, *, task_id: str, exception: BaseException, **_more: Any) -> None:
    """Record the exception of a job: ``endpoint`` is the name of its task, ``request_id`` its id.

    When the recording fails, that is logged: the job ends as it would without it.
    """
    try:
        for app in _apps:
            if app.extensions.get("celery") is sender.app:
                client = Client(request_id=clean(task_id, limits.REQUEST_ID))
                context_of(app).record_error(exception, client, Target(endpoint=clean(sender.name, limits.ENDPOINT)))
    except Exception:
        logger.exception("the exception of a job could not be recorded")
