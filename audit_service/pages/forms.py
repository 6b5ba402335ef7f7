"""The filters of a list as the fields of a form."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, get_args

import msgspec
from werkzeug.datastructures import MultiDict

from audit_service.errors import ParameterError
from audit_service.events.base import Kind
from audit_service.events.operators import Operator, split
from audit_service.web.language import gettext, later

LABELS = {
    "id": later("id"),
    "seq": later("place in the trail"),
    "timestamp": later("time"),
    "recorded_at": later("recorded"),
    "since": later("since"),
    "until": later("until"),
    "app": later("app"),
    "remote_addr": later("address"),
    "network": later("network"),
    "request_id": later("request id"),
    "username": later("username"),
    "action": later("action"),
    "outcome": later("outcome"),
    "reason": later("reason"),
    "method": later("method"),
    "user_agent": later("device"),
    "details": later("details"),
    "exception_type": later("exception"),
    "message": later("message"),
    "traceback": later("traceback"),
    "fingerprint": later("fingerprint"),
    "endpoint": later("view"),
    "http_method": later("HTTP method"),
    "path": later("path"),
    "actor": later("by whom"),
    "target": later("of whom or what"),
    "expires_at": later("expires"),
    "limit": later("events on a page"),
    "column": later("columns"),
}
EXAMPLES = {
    "since": "24h",
    "until": "2026-01-31 12:00",
    "remote_addr": "10.0.0.0/8",
    "details": "provider=github",
}
_COMPARED = {
    Operator.NOT: later("%(field)s is not"),
    Operator.IGNORE_CASE: later("%(field)s in any case"),
    Operator.PREFIX: later("%(field)s begins with"),
    Operator.CONTAINS: later("%(field)s contains"),
}


@dataclass(frozen=True)
class Field:
    """A field of the form: its values as they were given, its choices if it has any, and what is wrong with it.

    A field that is *rare* is not among the first that are shown.
    """

    name: str
    label: str
    values: list[str]
    choices: list[str]
    example: str
    error: str
    is_rare: bool

    @property
    def value(self) -> str:
        """The value of a field that takes one text; several are kept apart by the URL only."""
        return self.values[0] if self.values else ""


def label(name: str) -> str:
    """Return what a field, or a filter by its name in a query string, is called on pages."""
    for operator, words in _COMPARED.items():
        field = name.removesuffix(operator)
        if field in LABELS and field != name:  # else it is no filter: a look has the names that its reader made up
            return gettext(words, field=gettext(LABELS[field]))
    return gettext(LABELS[name]) if name in LABELS else name


def fields_of(kind: Kind, given: MultiDict[str, str], error: ParameterError | None) -> list[Field]:
    """Return the fields for the filters of a *kind*; one for what is not to be only where it is given."""
    found = []
    for field in msgspec.structs.fields(kind.filters):
        name, (_, operator) = field.encode_name, split(field.name)
        if operator is Operator.NOT and name not in given:
            continue
        found.append(
            Field(
                name=name,
                label=label(name),
                values=given.getlist(name),
                choices=_choices(field.type),
                example=EXAMPLES.get(field.name, ""),
                error=gettext(error.detail) if error and error.parameter == name else "",
                is_rare=operator is not None or field.name == "details",
            )
        )
    return found


def _choices(annotation: Any) -> list[str]:
    found = _word(annotation)
    return [str(word.value) for word in found] if found else []


def _word(annotation: Any) -> type[StrEnum] | None:
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return annotation
    return next(filter(None, (_word(part) for part in get_args(annotation))), None)
