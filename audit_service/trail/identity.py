"""Which trail this is: one database is told from another by what it holds, not by its address."""

import logging
from uuid import UUID

from sqlalchemy import Connection, inspect, select
from sqlalchemy.engine import URL

from audit_service.storage.models import TrailIdentity

logger = logging.getLogger("audit_service")


class Identity:
    """What a process knows of its trail. Threads share it."""

    def __init__(self, url: URL) -> None:
        """The trail is behind *url*; which one it is shows when it is seen."""
        self.target = target_of(url)
        self.trail: UUID | None = None

    def see(self, trail: UUID | None) -> None:
        """Take note of the trail that is there; warn if it is another than before."""
        known, self.trail = self.trail, trail or self.trail
        if known and trail and known != trail:
            logger.warning(
                "%s holds another trail now: it was %s and is %s. Recording goes on in the new one; what waits in the "
                "spool for the old one stays there until that is back ('audit-service spool status' counts it)",
                self.target,
                known,
                trail,
            )


def target_of(url: URL) -> str:
    """Return the database's address: no user, no password, no driver; the path of a SQLite file is absolute.

    Where a driver connects to may stand in the URL's query, too.
    """
    host, port = (url.query.get(name, given) for name, given in (("host", url.host), ("port", url.port)))
    port = port and f":{port}"
    return f"{url.get_backend_name()}://{host or ''}{port or ''}/{url.database or ''}"


def read_trail(connection: Connection) -> UUID | None:
    """Return the identity of the trail behind *connection*, None before the migration that gives it one."""
    if not inspect(connection).has_table(TrailIdentity.__tablename__):
        return None
    return connection.execute(select(TrailIdentity.trail_id)).scalar()
