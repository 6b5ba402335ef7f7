"""Where the trail of a host app is kept: where it is told to, in the app's own PostgreSQL, or in a file of its own."""

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from flask import Flask
from msgspec.structs import replace
from sqlalchemy.engine import URL, make_url

from audit_service.settings.environment import load_settings
from audit_service.settings.table import Settings, is_in_memory

# In a host's own database the tables have a schema of their own, where the host's migrations do not look.
SCHEMA = "login_audit"
_FOLDER = "login_audit.folder"
_PATIENCE = 30.0  # seconds that an event may take in a test, on a machine that is busy with others
_MEMORY = Path("/dev/shm")  # noqa: S108 - only a name for where the system keeps files in memory


def host_settings(app: Flask, *, url: str | URL | None = None, own: URL | None = None) -> Settings:
    """Return the settings of a host *app*, with ``database_url`` and ``data_dir`` as its trail has them.

    The trail is kept in the database that *url* names, else in that of ``AUDIT_DATABASE_URL``. Without both, an app
    whose *own* database is a PostgreSQL keeps it there, in the schema ``login_audit``. Any other app keeps it in the
    file ``audit.db`` of its data folder: its instance folder, unless ``AUDIT_DATA_DIR`` names another. Without *own*
    the app's database is the one that Flask-SQLAlchemy or Flask-SQLAlchemy-Lite is configured for. A relative path of
    a SQLite file begins at the instance folder, as it does for these.

    When ``app.testing`` is true and no other database is named, or the app's own is in memory, the folder is a
    temporary one, without a spool: an event waits until it is stored. Raises ``SettingsError`` for bad settings.
    """
    config = dict(app.config)
    if url is not None:
        config["AUDIT_DATABASE_URL"] = url if isinstance(url, str) else _text(url)
    settings = load_settings(config, defaults={"data_dir": app.instance_path})
    if settings.database_url:
        settings = replace(settings, database_url=_text(_placed(app, make_url(settings.database_url))))
    if settings.database_url and not (app.testing and is_in_memory(settings.url)):
        return settings
    own, arguments = (own, {}) if own is not None else _configured(app.config)
    if app.testing or (own is not None and is_in_memory(own)):
        folder = app.extensions[_FOLDER] = mkdtemp(prefix="login-audit-", dir=_memory())
        settings = load_settings(config, defaults={"write_timeout": _PATIENCE})
        return replace(settings, database_url="", data_dir=folder, spool="off")
    if own is not None and own.get_backend_name() == "postgresql":
        return replace(settings, database_url=_text(_in_schema(own, arguments)))
    return settings


def is_short_lived(app: Flask) -> bool:
    """Tell whether the trail of *app* is in a temporary folder."""
    return _FOLDER in app.extensions


def own_databases(app: Flask) -> list[URL]:
    """Return all databases that the app has configured, the default one and those of ``SQLALCHEMY_BINDS``."""
    default, _arguments = _configured(app.config)
    binds: Mapping[str, Any] = app.config.get("SQLALCHEMY_BINDS") or {}
    given = [bind.get("url") if isinstance(bind, Mapping) else bind for bind in binds.values()]
    return [_placed(app, url) for url in (default, *(make_url(url) for url in given if url)) if url]


def _placed(app: Flask, url: URL) -> URL:
    """Return *url*; of a SQLite file with an absolute path."""
    if url.get_backend_name() != "sqlite" or is_in_memory(url):
        return url
    return url.set(database=str(Path(app.instance_path, str(url.database))))


def _configured(config: Mapping[str, Any]) -> tuple[URL | None, Mapping[str, Any]]:
    """Return the app's own default database, and what the driver is told beside its URL."""
    lite: Any = (config.get("SQLALCHEMY_ENGINES") or {}).get("default")
    options: Mapping[str, Any] = lite if isinstance(lite, Mapping) else config.get("SQLALCHEMY_ENGINE_OPTIONS") or {}
    url = options.get("url") or lite or config.get("SQLALCHEMY_DATABASE_URI")
    arguments = options.get("connect_args") or {}
    if not url:
        return None, arguments
    return URL.create(**url) if isinstance(url, Mapping) else make_url(url), arguments


def _in_schema(url: URL, arguments: Mapping[str, Any]) -> URL:
    """Return the URL of *url*'s database that has all *arguments* of libpq, and the trail's own schema."""
    given = {name: str(value) for name, value in arguments.items() if type(value) in (str, int)}
    given.pop("prepare_threshold", None)  # psycopg's own, which we set as the pooler asks for
    options = f"{given.pop('options', url.query.get('options', ''))} -c search_path={SCHEMA}"
    return url.update_query_dict({**given, "options": options.strip()})


def _memory() -> Path | None:
    return _MEMORY if os.access(_MEMORY, os.W_OK) else None


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
