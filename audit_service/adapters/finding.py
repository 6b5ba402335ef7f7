"""Which adapters an app has: those of the libraries that are set up on it, or those that it names."""

import logging
from collections.abc import Sequence

from flask import Flask, Response

from audit_service.adapters import authlib, flask_appbuilder, flask_dance, flask_login, flask_security
from audit_service.adapters.adapter import Adapter
from audit_service.adapters.telling import record_told
from audit_service.context import current_context
from audit_service.errors import NotConfiguredError

logger = logging.getLogger("audit_service")

_ALL = (
    flask_login.ADAPTER,
    flask_security.ADAPTER,
    flask_appbuilder.ADAPTER,
    authlib.ADAPTER,
    flask_dance.ADAPTER,
)
ADAPTERS: dict[str, Adapter] = {adapter.name: adapter for adapter in _ALL}


def check_names(names: Sequence[str]) -> None:
    """Raise ``NotConfiguredError`` for a name that no adapter has."""
    for name in names:
        if name not in ADAPTERS:
            raise NotConfiguredError(f"there is no adapter {name!r}: there are {', '.join(ADAPTERS)}")


def connect(app: Flask, names: Sequence[str] | None, *, is_complete: bool) -> set[str]:
    """Connect the adapters that *names* has, and those that they need; return the names of all.

    None stands for the adapters of all libraries that are set up. A named adapter whose library is not set up on *app*
    raises ``NotConfiguredError`` when the app *is_complete*; before that it is left out.
    """
    wanted = {name for name, adapter in ADAPTERS.items() if adapter.is_set_up(app)} if names is None else set(names)
    for name in sorted(wanted):
        if not ADAPTERS[name].is_set_up(app):
            if not is_complete:
                wanted.discard(name)
                continue
            raise NotConfiguredError(f"the adapter {name!r} is named, but its library is not set up on {app.name}")
        wanted.update(needed for needed in ADAPTERS[name].needs if ADAPTERS[needed].is_set_up(app))
    for name in wanted:
        if connect_library := ADAPTERS[name].connect:
            connect_library()
    return wanted


def start_request() -> None:
    """Call ``at_start`` of the app's adapters. Their exceptions are logged."""
    for name in current_context().adapters:
        if at_start := ADAPTERS[name].at_start:
            try:
                at_start()
            except Exception:
                logger.exception("the adapter %r could not look at a request", name)


def end_request(response: Response) -> Response:
    """Call ``at_end`` of the app's adapters, then record the events that are pending; return the answer to give."""
    for name in current_context().adapters:
        if at_end := ADAPTERS[name].at_end:
            try:
                at_end(response)
            except Exception:
                logger.exception("the adapter %r could not look at an answer", name)
    return record_told(response)
