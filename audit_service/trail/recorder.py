"""The only door to the trail."""

from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from audit_service.errors import AuditUnavailable
from audit_service.events import NewEvent
from audit_service.trail.append import append


class Recorder:
    """Takes events and answers when they are durable.

    It has connections of its own, so a request's rollback does not take the audit row along, and the request's broken
    session does not keep an event out.
    """

    def __init__(self, engine: Engine) -> None:
        """Write through *engine*, which nobody else uses."""
        self.engine = engine

    def record(self, event: NewEvent) -> UUID:
        """Store *event* and return its id once the row is committed; raise ``AuditUnavailable`` if it is not."""
        try:
            append(self.engine, [event])
        except SQLAlchemyError as error:
            raise AuditUnavailable("the event could not be stored (is the database migrated?)") from error
        return event.id
