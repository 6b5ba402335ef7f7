"""The filters of a list as the fields of a form."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, get_args, get_origin

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
    "limit": later("events on a page"),
    "column": later("columns"),
}


_OPERATORS = {
    Operator.NOT: later("%(what)s is not"),
    Operator.IGNORE_CASE: later("%(what)s, in any case"),
    Operator.PREFIX: later("%(what)s begins with"),
    Operator.CONTAINS: later("%(what)s contains"),
}


@dataclass(frozen=True)
class Field:
    """A field of the form: its values as they were given, its choices if it has any, and what is wrong with it."""

    name: str
    label: str
    values: list[str]
    choices: list[str]
    help: str
    error: str
    is_usual: bool  # the others are shown when asked for, or when they are set

    @property
    def value(self) -> str:
        """The value of a field that takes one text; several are kept apart by the URL only."""
        return self.values[0] if self.values else ""


def label(name: str) -> str:
    """Return what a field, or a filter as it is in a query string, is called on pages."""
    for operator, words in _OPERATORS.items():
        if name.endswith(operator):
            return gettext(words, what=label(name.removesuffix(operator)))
    return gettext(LABELS.get(name, name))


def fields_of(kind: Kind, given: MultiDict[str, str], error: ParameterError | None) -> list[Field]:
    """Return the fields for all filters of a *kind*."""
    return [
        Field(
            name=field.encode_name,
            label=label(field.encode_name),
            values=given.getlist(field.encode_name),
            choices=_choices(field.type),
            help=_meta(field.type, "title"),
            error=gettext(error.detail) if error and error.parameter == field.encode_name else "",
            is_usual=split(field.name)[1] in (None, Operator.CONTAINS),
        )
        for field in msgspec.structs.fields(kind.filters)
    ]


def _choices(annotation: Any) -> list[str]:
    found = _word(annotation)
    return [str(word.value) for word in found] if found else []


def _word(annotation: Any) -> type[StrEnum] | None:
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return annotation
    return next(filter(None, (_word(part) for part in get_args(annotation))), None)


def _meta(annotation: Any, name: str) -> str:
    if get_origin(annotation) is Annotated:
        return next((str(getattr(meta, name) or "") for meta in annotation.__metadata__ if hasattr(meta, name)), "")
    return next(filter(None, (_meta(part, name) for part in get_args(annotation))), "")
