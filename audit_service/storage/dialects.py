"""Which database it is: the one place that asks for its name."""

from sqlalchemy import URL, Connection, Dialect, Engine


def is_postgresql(database: Engine | Connection | Dialect | URL) -> bool:
    """Tell whether *database* is PostgreSQL, or another one that SQLAlchemy's dialect of that name serves."""
    return _name(database) == "postgresql"


def is_sqlite(database: Engine | Connection | Dialect | URL) -> bool:
    """Tell whether *database* is a SQLite file."""
    return _name(database) == "sqlite"


def _name(database: Engine | Connection | Dialect | URL) -> str:
    if isinstance(database, URL):
        return database.get_backend_name()
    return database.name if isinstance(database, Dialect) else database.dialect.name
