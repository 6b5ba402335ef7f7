"""The settings of a PostgreSQL session, as SQL that a transaction begins with."""

import re

_OPTION = re.compile(r"(?:-c\s*|--)([\w.-]+)=((?:\\.|\S)*)")


def settings_of(options: str) -> str:
    """Return the SQL that makes the settings of start-up *options* those of a transaction."""
    found = {name.replace("-", "_"): re.sub(r"\\(.)", r"\1", value) for name, value in _OPTION.findall(options)}
    return "SELECT " + ", ".join(_setting(name, value) for name, value in found.items())


def and_setting(settings: str, name: str, value: str) -> str:
    """Return *settings* with another one, which comes last."""
    return f"{settings}, {_setting(name, value)}"


def _setting(name: str, value: str) -> str:
    literal = value.replace("\\", "\\\\").replace("'", "''")
    return f"set_config('{name}', E'{literal}', true)"
