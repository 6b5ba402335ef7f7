"""Runs the migrations: for ``audit-service migrate``, which hands an engine over, and for ``alembic`` in a checkout."""

import warnings
from pathlib import Path
from typing import Any

from alembic import context
from sqlalchemy import Connection, Engine, text
from sqlalchemy.schema import CreateSchema

from audit_service.settings.environment import load_settings
from audit_service.storage.database import BUSY_TIMEOUT, Base, make_engine
from audit_service.storage.dialects import is_postgresql, is_sqlite
from audit_service.storage.models import NULLS_FIRST
from audit_service.storage.schema import VERSION_TABLE, make_file

PLACED_NULLS = {
    index.name for table in Base.metadata.tables.values() for index in table.indexes if index.info.get(NULLS_FIRST)
}
# Of SQLite, which has none of them.
warnings.filterwarnings("ignore", "autogenerate skipping metadata-specified expression-based index")
ADVISORY_LOCK = 4_851_237_461  # any number, the same for all of our migrations
PATIENCE = 600  # seconds to wait for another process that migrates: of a large trail that takes minutes


def is_ours(_item: object, name: str | None, type_: str, reflected: bool, model: object) -> bool:  # noqa: FBT001
    """Leave out the other tables of the database: they belong to the app that the trail is kept for.

    And indexes with ``NULLS FIRST``, which Alembic takes for others than the models'.
    """
    if type_ == "index":
        return name not in PLACED_NULLS
    return not (type_ == "table" and reflected and model is None)


def run(engine: Engine) -> None:
    """Migrate in one transaction; a second process waits, and then finds the work done."""
    with engine.connect() as connection:
        if is_sqlite(connection):
            driver: Any = connection.connection.dbapi_connection
            driver.execute(f"PRAGMA busy_timeout={PATIENCE * 1000}")
        migrate(connection)


def make_schema(connection: Connection) -> None:
    """Make the schema that the connection names (``search_path``), if it is missing."""
    if connection.scalar(text("SELECT current_schema()")) is None:
        name = connection.scalar(text("SELECT current_setting('search_path')"))
        connection.execute(CreateSchema(str(name).strip('"'), if_not_exists=True))


def migrate(connection: Connection) -> None:
    with connection.begin():  # on SQLite this takes the write lock
        if is_postgresql(connection):
            connection.execute(text(f"SET LOCAL lock_timeout = '{PATIENCE}s'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            connection.execute(text(f"SET LOCAL lock_timeout = '{BUSY_TIMEOUT}s'"))  # for tables, which logins need
            make_schema(connection)
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            version_table=VERSION_TABLE,
            include_object=is_ours,
        )
        with context.begin_transaction():
            context.run_migrations()


def engine_of_settings() -> Engine:
    """Make an engine for the database that the ``AUDIT_*`` variables name."""
    settings = load_settings()
    if settings.is_embedded:
        settings.make_data_dir()
    if settings.url.get_backend_name() == "sqlite":
        make_file(Path(str(settings.url.database)))
    return make_engine(settings.url, writes=True)


if context.is_offline_mode():
    raise SystemExit(
        "SQL cannot be printed without a database (--sql): the migrations look at the database they change"
    )
if given := context.config.attributes.get("engine"):
    run(given)
else:
    engine = engine_of_settings()
    try:
        run(engine)
    finally:
        engine.dispose()
