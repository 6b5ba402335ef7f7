"""The migrations, as functions: bring a database to the newest revision, or tell where it stands."""

from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from alembic import command, context, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import URL, Connection, Engine, text

from audit_service.errors import NotConfiguredError
from audit_service.settings import data_folder
from audit_service.storage.database import make_engine, sqlite_path
from audit_service.storage.dialects import is_sqlite
from audit_service.storage.outages import DATABASE_ERRORS, MIGRATE

VERSION_TABLE = "audit_alembic_version"  # not Alembic's usual name: the app may have migrations of its own

_PACKAGE = Path(__file__).parent.parent
# In the wheel the migrations are inside the package, in a checkout beside it.
_SCRIPTS = next(path for path in (_PACKAGE / "migrations", _PACKAGE.parent / "migrations") if path.is_dir())


def _config(engine: Engine | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["engine"] = engine
    return config


@cache
def _revisions() -> list[str]:
    """The revisions that this code knows, the newest first."""
    return [script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()]


def newest_revision() -> str:
    """Return the revision that this code needs."""
    return _revisions()[0]


def fault_of(revision: str | None) -> str | None:
    """Return what is wrong with a database at *revision*, and the remedy; None for the one that this code needs."""
    newest = newest_revision()
    if revision == newest:
        return None
    if revision is not None and revision not in _revisions():
        return (
            f"the database is at revision {revision}, which this program does not know (it needs {newest}): "
            "run the version of audit-service that has migrated it"
        )
    return f"the database is at revision {revision or '(none)'}, this program needs {newest}: run {MIGRATE}"


def fault_at(url: URL) -> str | None:
    """Return what is wrong with the revision of the database at *url*, and the remedy.

    None if nothing is wrong, or if the database cannot be asked.
    """
    if is_sqlite(url) and not sqlite_path(url).exists():
        return fault_of(None)
    engine = make_engine(url)
    try:
        return fault_of(current_revision(engine))
    except DATABASE_ERRORS:
        return None
    finally:
        engine.dispose()


def current_revision(engine: Engine) -> str | None:
    """Return the revision that the database is at; None if it was never migrated."""
    with engine.connect() as connection:
        return read_revision(connection)


def read_revision(connection: Connection) -> str | None:
    """Return the revision of the database behind *connection*; None if it was never migrated."""
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def migrate(engine: Engine, revision: str = "head") -> str | None:
    """Upgrade the database to *revision*; return the one that it was at, None if it was never migrated.

    A SQLite file that is missing is made, for its owner only. One process at a time; what fails is rolled back whole.
    Raises ``NotConfiguredError`` when the file cannot be made, or the database is at a revision that this version of
    the program does not know.
    """
    if is_sqlite(engine):
        make_file(Path(str(engine.url.database)))
    before = current_revision(engine)
    try:
        command.upgrade(_config(engine), revision)
    except CommandError as error:
        raise NotConfiguredError(f"cannot migrate: {error}") from None
    return before


def copy_template(path: Path) -> None:
    """Make the SQLite file at *path* as a migrated one, quickly: a process migrates once, and then copies.

    The copies have one identity: they are for trails that are thrown away.
    """
    data_folder.make_file(path, _template())


@cache
def _template() -> bytes:
    with TemporaryDirectory() as folder:
        engine = make_engine(URL.create("sqlite", database=f"{folder}/template.db"), writes=True)
        migrate(engine)
        engine.dispose()
        return sqlite_path(engine.url).read_bytes()


def make_file(path: Path) -> None:
    """Make the file of a SQLite database if it is missing. Raises ``NotConfiguredError`` when it cannot."""
    try:
        data_folder.make_file(path)
    except OSError as error:
        raise NotConfiguredError(
            f"cannot make the database file {path}: {error.strerror} (AUDIT_DATABASE_URL, AUDIT_DATA_DIR)"
        ) from None


def downgrade(engine: Engine, revision: str = "base", *, lose: Collection[str] = ()) -> None:
    """Downgrade the database to *revision*; "base" drops everything. What fails is rolled back whole.

    Raises ``NotConfiguredError``, which says what would be lost, unless *lose* has each revision whose loss is meant.
    """
    config = _config(engine)
    config.attributes["lose"] = lose
    try:
        command.downgrade(config, revision)
    except CommandError as error:
        raise NotConfiguredError(f"cannot downgrade: {error}") from None


def require_told(revision: str, counts: Mapping[str, str]) -> None:
    """In the downgrade of *revision*: refuse to lose what is there, unless it was said that this is meant.

    *counts* has a query that counts for each thing that would be lost. Raises Alembic's ``CommandError``, which tells
    how to say it.
    """
    on_command_line = context.get_x_argument(as_dictionary=True).get("lose", "")
    told = [*context.config.attributes.get("lose", ()), *filter(None, on_command_line.split(","))]
    found = {what: op.get_bind().scalar(text(query)) for what, query in counts.items()}
    lost = [f"{what} ({count})" for what, count in found.items() if count]
    if lost and revision not in told:
        raise CommandError(
            f"a downgrade below {revision} loses for good: {', '.join(lost)}. Nothing was changed. If this is meant, "
            f"say so: alembic -x lose={','.join([*told, revision])} downgrade …"
        )


def check(engine: Engine) -> None:
    """Raise ``alembic.util.AutogenerateDiffsDetected`` when the database differs from the models."""
    command.check(_config(engine))


def require_newest(engine: Engine) -> None:
    """Raise ``NotConfiguredError``, which says what to do, unless the database is at the newest revision."""
    fault = fault_of(current_revision(engine))
    if fault:
        raise NotConfiguredError(fault)
