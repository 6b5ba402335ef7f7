"""The settings as the process's environment, or a Flask app's config, gives them.

``NAME_FILE`` in the environment reads the value of ``NAME`` from a file, as container secrets want it.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from audit_service.errors import SettingsError
from audit_service.settings.table import Settings, setting_type
from audit_service.values.typed import convert

PREFIX = "AUDIT_"
TEST_PREFIX = "AUDIT_TEST_"  # what only the tests read
NAMES = [PREFIX + field.upper() for field in Settings.__struct_fields__]


def load_settings(
    config: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    defaults: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the table from *environ* (default: the process's), overridden by the ``AUDIT_*`` keys of *config*.

    What neither sets is as *defaults* has it, by the names of the fields, else as the table has it.

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
    fields: dict[str, Any] = dict(defaults or {})
    for name, value in values.items():
        field = name.removeprefix(PREFIX).lower()
        fields[field] = _typed(name, field, value)
    return Settings(**fields)


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
