"""The callables of an app that name the user of an error, leave events out, and change them."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from flask import Request
from msgspec.structs import replace

from audit_service.events.base import NewEvent
from audit_service.events.request_info import parse_address, parse_network
from audit_service.values import limits
from audit_service.values.details import normal_details
from audit_service.values.text import clean, clean_lines

_LENGTHS = {
    "username": limits.USERNAME,
    "actor": limits.USERNAME,
    "target": limits.TARGET,
    "app": limits.APP,
    "request_id": limits.REQUEST_ID,
    "user_agent": limits.USER_AGENT,
    "method": limits.METHOD,
    "exception_type": limits.EXCEPTION_TYPE,
    "fingerprint": limits.FINGERPRINT,
    "http_method": limits.HTTP_METHOD,
    "path": limits.PATH,
    "endpoint": limits.ENDPOINT,
}
_LENGTHS_OF_LINES = {"message": limits.MESSAGE, "traceback": limits.TRACEBACK}
_ADDRESSES: dict[str, Callable[[str], str | None]] = {"remote_addr": parse_address, "network": parse_network}


@dataclass(frozen=True)
class Seams:
    """The callables that were given to ``LoginAudit``. An exception in one of them loses no event.

    ``identify(request)`` returns the name of the user who makes the current request, None if there is none; by default
    the name of Flask-Login's user.
    ``exclude(event)`` returns whether an event is not to be stored. ``transform(event)`` returns the event to store,
    made with ``msgspec.structs.replace``; its ``id`` and ``timestamp`` stay.
    """

    identify: Callable[[Request], str | None] | None = None
    transform: Callable[[NewEvent], NewEvent] | None = None
    exclude: Callable[[NewEvent], bool] | None = None

    def apply(self, event: NewEvent, on_error: Callable[[Exception], None]) -> NewEvent | None:
        """Return *event* as it is to be stored, or None if it is excluded.

        A callable that raises is left out, and *on_error* called with its exception.
        """
        try:
            if self.exclude and self.exclude(event):
                return None
        except Exception as error:  # noqa: BLE001 - the app's own code
            on_error(error)
        try:
            return _checked(self.transform(event), event) if self.transform else event
        except Exception as error:  # noqa: BLE001 - the app's own code
            on_error(error)
        return event


def _checked(event: NewEvent, before: NewEvent) -> NewEvent:
    """Return *event*, made of *before*, with its texts cleaned and cut; raise ``TypeError`` if it is another event."""
    if type(event) is not type(before) or (event.id, event.timestamp) != (before.id, before.timestamp):
        raise TypeError("transform must return the event that it was given, with the same id and timestamp")
    msgspec.convert(msgspec.to_builtins(event), type(event))
    for name, parse in _ADDRESSES.items():
        if (address := getattr(event, name, None)) is not None and parse(address) != address:
            raise ValueError(f"{name} must be an address in its canonical form, or None")
    texts = {
        name: clean_text(text, length)
        for lengths, clean_text in ((_LENGTHS, clean), (_LENGTHS_OF_LINES, clean_lines))
        for name, length in lengths.items()
        if isinstance(text := getattr(event, name, None), str)
    }
    details = getattr(event, "details", None)
    return replace(event, **texts, **({} if details is None else {"details": normal_details(details)}))
