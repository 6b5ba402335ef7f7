"""The settings: one typed table, read from ``AUDIT_*`` variables or from a Flask app's config.

``NAME_FILE`` in the environment reads the value of ``NAME`` from a file, as container secrets want it.
"""

import difflib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from audit_service.errors import SettingsError
from audit_service.typed import convert, description_of, title_of

PREFIX = "AUDIT_"
TEST_PREFIX = "AUDIT_TEST_"  # what only the tests read
EMBEDDED = "audit.db"  # the embedded database's file
MIN_KEY = 16  # characters
APP_LIMIT = 64  # characters

DatabaseUrl = Annotated[
    str,
    Meta(
        title="a postgresql:// or sqlite:/// URL",
        description="where the trail is kept, e.g. `postgresql://user@host/name`",
    ),
]
DataDir = Annotated[
    str,
    Meta(
        min_length=1, title="a folder", description="where the embedded database and the generated secret key are kept"
    ),
]
SecretKey = Annotated[
    str,
    Meta(
        min_length=MIN_KEY,
        title="a text of at least 16 characters",
        description="signs sessions and cursors; generated in the data folder for the embedded database, else required",
    ),
]
Login = Annotated[
    Literal["password", "passwordless"],
    Meta(
        title="`password` or `passwordless`",
        description="how users log in; `passwordless` lets anybody in under any name: for demonstrations only",
    ),
]
Host = Annotated[str, Meta(min_length=1, title="an address or host name", description="the address to listen on")]
Port = Annotated[int, Meta(ge=1, le=65535, title="a number from 1 to 65535", description="the TCP port to listen on")]
Workers = Annotated[int, Meta(ge=1, le=256, title="a number from 1 to 256", description="worker processes")]
Threads = Annotated[int, Meta(ge=1, le=1024, title="a number from 1 to 1024", description="threads in each worker")]
AppName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=APP_LIMIT,
        title="a text of 1 to 64 characters",
        description="stored as `app` in events",
    ),
]
WriteTimeout = Annotated[
    float,
    Meta(
        ge=0.1,
        le=60,
        title="seconds, from 0.1 to 60",
        description="the longest that storing an event may take: pool, connect, lock, statement and TCP together",
    ),
]
QueueLimit = Annotated[
    int,
    Meta(
        ge=1,
        le=100_000,
        title="a number from 1 to 100000",
        description="events that may wait in a process; further ones are refused at once",
    ),
]
Spool = Annotated[
    Literal["on", "off"],
    Meta(
        title="`on` or `off`",
        description="keep events in a file of the data folder while the database is away; `off`: no database, no login",
    ),
]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table. ``AUDIT_PORT`` in the environment or config is ``port`` here; the title is the value's type."""

    database_url: DatabaseUrl = ""
    data_dir: DataDir = "./instance"
    secret_key: SecretKey | None = None
    login: Login = "password"
    host: Host = "127.0.0.1"
    port: Port = 8000
    workers: Workers = 2
    threads: Threads = 32
    app_name: AppName | None = None
    write_timeout: WriteTimeout = 2.0
    queue_limit: QueueLimit = 1000
    spool: Spool = "on"

    @property
    def is_embedded(self) -> bool:
        """Tell whether the database is the embedded SQLite file in the data folder."""
        return not self.database_url

    @property
    def url(self) -> URL:
        """The database's URL with its driver named and, for SQLite, an absolute path."""
        url = make_url(self.database_url or f"sqlite:///{self.data_path / EMBEDDED}")
        if url.drivername in ("postgres", "postgresql"):
            return url.set(drivername="postgresql+psycopg")
        if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
            return url.set(database=str(Path(str(url.database)).absolute()))
        return url

    @property
    def data_path(self) -> Path:
        """The data folder, absolute."""
        return Path(self.data_dir).absolute()

    def signing_key(self) -> str:
        """Return the secret key; for the embedded database make and keep one (mode 0600) if there is none.

        Raises ``SettingsError`` when a key is required and missing.
        """
        if self.secret_key:
            return self.secret_key
        if not self.is_embedded:
            raise SettingsError(
                "AUDIT_SECRET_KEY is required with AUDIT_DATABASE_URL: set it to a long random text, the same for "
                "every process (python3 -c 'import secrets; print(secrets.token_urlsafe(32))' prints one)"
            )
        path = self.make_data_dir() / "secret_key"
        try:
            key = path.read_text().strip() if path.exists() else _make_key(path)
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"AUDIT_DATA_DIR: cannot use the key in {str(path)!r}: {error}") from None
        if len(key) < MIN_KEY:
            raise SettingsError(f"the file {str(path)!r} holds no key: remove it and a new one is made")
        return key

    @property
    def spool_path(self) -> Path | None:
        """The file of the spool, null if it is off."""
        return self.data_path / "spool.db" if self.spool == "on" else None

    def make_data_dir(self) -> Path:
        """Make the data folder, and the embedded database's file in it, for their owner only, if they are missing.

        Raises ``SettingsError`` when it cannot.
        """
        try:
            self.data_path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.is_embedded:
                (self.data_path / EMBEDDED).touch(mode=0o600)
        except OSError as error:
            raise SettingsError(f"AUDIT_DATA_DIR: cannot make the folder {self.data_dir!r}: {error.strerror}") from None
        return self.data_path


def _make_key(path: Path) -> str:
    """Write a new key whole and durably under another name, then link it: who starts together agrees on one key."""
    draft = path.with_name(f".secret_key.{secrets.token_hex(8)}")
    with open(draft, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(secrets.token_urlsafe(32))
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text()


NAMES = [PREFIX + field.upper() for field in Settings.__struct_fields__]


def load_settings(config: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the table from *environ* (default: the process's), overridden by the ``AUDIT_*`` keys of *config*.

    Raises ``SettingsError``, one line that names the variable, its value's type and, for an unknown name, the nearest.
    """
    values: dict[str, Any] = {}
    environ = os.environ if environ is None else environ
    for name, value in environ.items():
        if name.startswith(PREFIX) and not name.startswith(TEST_PREFIX):
            if name.endswith("_FILE") and name.removesuffix("_FILE") in NAMES:
                read = name.removesuffix("_FILE")
                if read in environ:
                    raise SettingsError(f"{read} and {name} are both set: unset one of them")
                values[read] = _read_file(name, value)
            else:
                values[_known(name)] = value
    for name, value in (config or {}).items():
        if name.startswith(PREFIX):
            values[_known(name)] = value
    fields: dict[str, Any] = {}
    for name, value in values.items():
        field = name.removeprefix(PREFIX).lower()
        fields[field] = _typed(name, field, value)
    return Settings(**fields)


def setting_type(field: str) -> str:
    """Return what the value of *field* is, in words."""
    return title_of(Settings.__annotations__[field])


def setting_help(field: str) -> str:
    """Return what *field* is for, in words."""
    return description_of(Settings.__annotations__[field])


def _typed(name: str, field: str, value: Any) -> Any:
    try:
        typed = convert(value, Settings.__annotations__[field])
        if field == "database_url" and typed:
            make_url(typed)
    except (ValueError, ArgumentError):
        shown = "" if field in ("secret_key", "database_url") else f", not {str(value)[:80]!r}"
        raise SettingsError(f"{name} must be {setting_type(field)}{shown}") from None
    return typed


def _known(name: str) -> str:
    if name in NAMES:
        return name
    nearest = difflib.get_close_matches(name, NAMES, n=1, cutoff=0)[0]
    field = nearest.removeprefix(PREFIX).lower()
    raise SettingsError(f"{name} is not a setting; the nearest is {nearest} ({setting_type(field)})")


def _read_file(name: str, path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}: cannot read the file {path!r}: {error}") from None
