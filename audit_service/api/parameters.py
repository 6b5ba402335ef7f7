"""A query string as typed filters. Whatever is wrong is said with the parameter's name; nothing is ignored."""

import unicodedata
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from werkzeug.datastructures import MultiDict

from audit_service.errors import ParameterError
from audit_service.history.filters import EventFilters
from audit_service.text import clean
from audit_service.typed import convert

Filters = TypeVar("Filters", bound=EventFilters)

Limit = Annotated[int, Meta(ge=1, le=1000, title="a number from 1 to 1000", description="events on a page")]
Cursor = Annotated[str, Meta(max_length=512, title="the `next` of an earlier answer", description="where to go on")]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of the result is wanted."""

    limit: Limit = 100
    cursor: Cursor | None = None


def parse(args: MultiDict[str, str], filters: type[Filters]) -> tuple[Filters, Page]:
    """Return the typed *filters* and the page. Raises ``ParameterError``: unknown, repeated or bad."""
    types = {field.encode_name: field.type for kind in (filters, Page) for field in msgspec.structs.fields(kind)}
    values: dict[str, Any] = {}
    for name, given in args.lists():
        if name not in types:
            shown = clean(name, 64)
            raise ParameterError(shown, f"{shown} is not a parameter here; these are: {', '.join(types)}")
        values[name] = _value(name, given, types[name])
    page_names = set(Page.__struct_fields__)
    return (
        filters(**{name: value for name, value in values.items() if name not in page_names}),
        Page(**{name: value for name, value in values.items() if name in page_names}),
    )


def _value(name: str, given: list[str], annotation: Any) -> Any:
    is_list = getattr(annotation, "__origin__", None) is list
    if not is_list and len(given) > 1:
        raise ParameterError(name, f"{name} may be given once only")
    try:
        normal = [unicodedata.normalize("NFC", text) for text in given]  # as stored text is
        return convert(normal if is_list else normal[0], annotation)
    except ValueError as error:
        raise ParameterError(name, f"{name} {error}") from None
