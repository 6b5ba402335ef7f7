"""A query string as typed values. Whatever is wrong is said with the parameter's name; nothing is ignored."""

import unicodedata
from functools import lru_cache
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from werkzeug.datastructures import MultiDict

from audit_service.errors import ParameterError
from audit_service.events.base import Since, Until, text_filter
from audit_service.history.question import Order
from audit_service.values import limits
from audit_service.values.text import clean
from audit_service.values.typed import convert

Parameters = TypeVar("Parameters", bound=msgspec.Struct)

Limit = Annotated[
    int, Meta(ge=1, le=limits.EVENTS, title=f"a number from 1 to {limits.EVENTS}", description="how many at most")
]
Cursor = Annotated[
    str, Meta(max_length=limits.CURSOR, title="the `next` of an earlier answer", description="where to go on")
]
OrderName = Annotated[
    Order,
    Meta(
        title="`newest`, `oldest` or `arrival`",
        description="by (`timestamp`, `seq`), the newest or the oldest first; or by `seq`, for pollers: "
        "never skips, never repeats",
    ),
]


class Sorting(msgspec.Struct, frozen=True, kw_only=True):
    """In which order a result is wanted."""

    order: OrderName = Order.NEWEST


class Paging(Sorting, frozen=True, kw_only=True):
    """Which part of a result is wanted, in which order."""

    limit: Limit = limits.EVENTS_BY_DEFAULT
    cursor: Cursor | None = None


class GroupLimit(msgspec.Struct, frozen=True, kw_only=True):
    """How many groups are wanted."""

    limit: Annotated[
        int,
        Meta(
            ge=1, le=limits.GROUPS, title=f"a number from 1 to {limits.GROUPS}", description="groups, the newest first"
        ),
    ] = limits.GROUPS_BY_DEFAULT


class Most(msgspec.Struct, frozen=True, kw_only=True):
    """How many items are wanted."""

    limit: Limit = limits.EVENTS_BY_DEFAULT


class Idle(Most, frozen=True, kw_only=True):
    """Which accounts are wanted: those without a login in some last days."""

    days: Annotated[
        int,
        Meta(
            ge=0,
            le=limits.IDLE_DAYS,
            title=f"a number from 0 to {limits.IDLE_DAYS}",
            description="only accounts without a login in so many days",
        ),
    ] = 0


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Which time is looked at."""

    since: Since | None = None
    until: Until | None = None


class Name(msgspec.Struct, frozen=True, kw_only=True):
    """Whose logins are asked for."""

    username: Annotated[str, text_filter(limits.USERNAME, "the name, exactly")]


def parse(args: MultiDict[str, str], *kinds: type[Any]) -> list[Any]:
    """Return a struct of each of *kinds*, with what *args* say. Raises ``ParameterError``: unknown, repeated, bad."""
    types = _fields(kinds)
    values: dict[str, Any] = {}
    for name, given in args.lists():
        if name not in types:
            shown = clean(name, 64)
            known = f"these are: {', '.join(types)}" if types else "there are none"
            raise ParameterError(shown, f"{shown} is not a parameter here; {known}")
        values[name] = _value(name, given, types[name].type)
    for name, field in types.items():
        if field.required and name not in values:
            raise ParameterError(name, f"{name} is required here")
    return [
        kind(**{field.name: values[name] for name, field in _fields((kind,)).items() if name in values})
        for kind in kinds
    ]


@lru_cache
def _fields(kinds: tuple[type[Any], ...]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for kind in kinds for field in msgspec.structs.fields(kind)}


def _value(name: str, given: list[str], annotation: Any) -> Any:
    is_list = getattr(annotation, "__origin__", None) is list
    if len(given) > limits.FILTER_VALUES:
        raise ParameterError(name, f"{name} may be given {limits.FILTER_VALUES} times at most")
    if not is_list and len(given) > 1:
        raise ParameterError(name, f"{name} may be given once only")
    try:
        normal = [unicodedata.normalize("NFC", text) for text in given]  # as stored text is
        return convert(normal if is_list else normal[0], annotation)
    except ValueError as error:
        raise ParameterError(name, f"{name} {error}") from None
