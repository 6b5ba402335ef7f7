"""The hook that keeps a host app's own migrations from dropping a trail which lies among the app's tables."""

from collections.abc import Mapping

from audit_service.settings.host import SCHEMA
from audit_service.storage.database import Base
from audit_service.storage.models import TrailHead
from audit_service.storage.schema import VERSION_TABLE

TABLES = frozenset({*Base.metadata.tables, VERSION_TABLE})
SAMPLE = Base.metadata.tables[TrailHead.__tablename__]  # any of them, to try hooks with


def include_name(name: str | None, type_: str, parent_names: Mapping[str, str | None]) -> bool:  # noqa: ARG001
    """Tell Alembic whether to look at something in the database: at all but the tables and the schema of the trail.

    For ``Migrate(app, db, include_name=include_name)``, or ``context.configure(include_name=…)`` in an ``env.py``.
    """
    return not ((type_ == "table" and name in TABLES) or (type_ == "schema" and name == SCHEMA))
