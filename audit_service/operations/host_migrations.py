"""Whether the migrations of a host app see the tables of the trail: they would drop them."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from flask import Flask

from audit_service.context import context_of
from audit_service.settings.host import SCHEMA, own_databases
from audit_service.storage.host_migrations import SAMPLE
from audit_service.trail.identity import target_of


def migration_fault(app: Flask) -> str | None:
    """Return what is wrong with the app's Flask-Migrate, and the line to add; None if nothing is.

    Raises ``NotConfiguredError`` if the app has no trail.
    """
    url = context_of(app).settings.url
    if "migrate" not in app.extensions or target_of(url) not in map(target_of, own_databases(app)):
        return None
    config = app.extensions["migrate"]
    script = Path(config.directory, "env.py")  # as Flask-Migrate finds it
    text = script.read_text() if script.is_file() else ""
    sees_schemas = "include_schemas" in text or config.configure_args.get("include_schemas")
    has_schema = str(url.query.get("options", "")).endswith(f"search_path={SCHEMA}")
    if (has_schema and not sees_schemas) or "audit_service" in text or _leaves_out(config.configure_args):
        return None
    return (
        f"'flask db migrate' would drop the tables of the audit trail, which are in the app's own database "
        f"{target_of(url)}: write 'from audit_service import include_name' and "
        "Migrate(app, db, include_name=include_name)"
    )


def _leaves_out(arguments: dict[str, Any]) -> bool:
    """Tell whether a hook of the app leaves a table of the trail out. A hook that raises is taken not to."""
    parents = {"schema_name": None, "table_name": SAMPLE.name, "schema_qualified_table_name": SAMPLE.name}
    hooks = {
        "include_name": (SAMPLE.name, "table", parents),
        "include_object": (SAMPLE, SAMPLE.name, "table", True, None),
    }
    for hook_name, what in hooks.items():
        with suppress(Exception):
            if (hook := arguments.get(hook_name)) and not hook(*what):
                return True
    return False
