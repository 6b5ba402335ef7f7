"""Which adapters an app has: those of the libraries that are set up on it, or those that it names."""

from collections.abc import Sequence
from types import ModuleType

from flask import Flask

from audit_service.adapters import flask_login
from audit_service.errors import NotConfiguredError

ADAPTERS: dict[str, ModuleType] = {module.NAME: module for module in (flask_login,)}


def check_names(names: Sequence[str]) -> None:
    """Raise ``NotConfiguredError`` for a name that no adapter has."""
    for name in names:
        if name not in ADAPTERS:
            raise NotConfiguredError(f"there is no adapter {name!r}: there are {', '.join(ADAPTERS)}")


def connect(app: Flask, names: Sequence[str] | None) -> set[str]:
    """Connect the adapters of that *names*, or if it is None of all libraries that are set up; return their names.

    Raises ``NotConfiguredError`` for a named one whose library is not set up on *app*.
    """
    connected = set()
    for name, adapter in ADAPTERS.items():
        if adapter.is_set_up(app) if names is None else name in names:
            if not adapter.is_set_up(app):
                raise NotConfiguredError(f"the adapter {name!r} is named, but its library is not set up on {app.name}")
            adapter.connect()
            connected.add(name)
    return connected
