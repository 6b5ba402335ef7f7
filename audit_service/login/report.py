"""One report: its members and their types, and reading it from an item of the body."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from audit_service.errors import ItemError
from audit_service.events import request_info
from audit_service.events.base import TIME_TITLE
from audit_service.values import limits
from audit_service.values.text import clean
from audit_service.values.typed import convert, title_of
from audit_service.vocabulary import Action, Outcome, Reason

Username = Annotated[str, Meta(min_length=1, title="a text that is not empty")]
OutcomeName = Annotated[Outcome, Meta(title="`success` or `failure`")]
ReasonName = Annotated[Reason, Meta(title="one of " + ", ".join(f"`{reason}`" for reason in Reason))]
Address = Annotated[str, Meta(title="an IPv4 or IPv6 address")]
ActionName = Annotated[Action, Meta(title="`login` or `logout`")]
Text = Annotated[str, Meta(title="a text")]
MethodName = Annotated[str, Meta(min_length=1, title="a text that is not empty")]
RequestId = Annotated[
    str,
    Meta(
        pattern=request_info.REQUEST_ID,
        title=f"1 to {limits.REQUEST_ID} letters, digits and . _ : / + = -, a letter or digit first",
    ),
]
Details = Annotated[dict[str, Any], Meta(title="a JSON object")]
Time = Annotated[datetime, Meta(tz=True, title=TIME_TITLE)]
App = Annotated[str, Meta(min_length=1, max_length=limits.APP, title=f"a text of 1 to {limits.APP} characters")]
EventId = Annotated[UUID, Meta(title="a UUIDv7 (RFC 9562)")]


class Report(msgspec.Struct, kw_only=True):
    """A login or logout as another app tells it. ``id`` makes a second try harmless; without it one is made.

    Without ``timestamp`` it happened at the time that the ``id`` holds, else now.
    """

    username: Username
    outcome: OutcomeName
    action: ActionName = Action.LOGIN
    reason: ReasonName | None = None
    remote_addr: Address | None = None
    user_agent: Text | None = None
    timestamp: Time | None = None
    app: App | None = None
    method: MethodName | None = None
    details: Details | None = None
    request_id: RequestId | None = None
    id: EventId | None = None


_FIELDS = {field.name: field for field in msgspec.structs.fields(Report)}


def read_report(place: int, item: Any) -> Report:
    """Return the report that *item* is, the one at *place* in the list. Raises ``ItemError`` (422) if it is none."""
    if not isinstance(item, dict):
        raise ItemError(f"/{place}", f"item {place} must be a JSON object")
    for name in item:
        if name not in _FIELDS:
            raise wrong_member(place, clean(name, 64), f"is not a field here; these are: {', '.join(_FIELDS)}")
    values = {}
    for name, field in _FIELDS.items():
        if item.get(name) is not None:
            values[name] = _value(place, name, item[name], field.type)
        elif field.required:
            raise wrong_member(place, name, f"must be {title_of(field.type)}")
    return Report(**values)


def _value(place: int, name: str, value: Any, annotation: Any) -> Any:
    try:
        return convert(clean(value, limits.REPORT_TEXT) if isinstance(value, str) else value, annotation)
    except ValueError as error:
        raise wrong_member(place, name, str(error)) from None


def wrong_member(place: int, name: str, what: str) -> ItemError:
    """Return the error of the member *name* of the report at *place*; *what* says what is wrong, after the name."""
    pointer = name.replace("~", "~0").replace("/", "~1")
    return ItemError(f"/{place}/{pointer}", f"item {place}: {name} {what}")
