"""Text from outside turned into typed values, with messages for people: settings and query parameters share it."""

import re
from datetime import UTC, datetime
from functools import cache
from typing import Any, get_args

import msgspec

from audit_service.values.text import fit

_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{1,9})?")


class Nearly(ValueError):  # noqa: N818 - the message is what was probably meant
    """A text that is no value, but nearly one: the message is the value that was probably meant."""


def title_of(annotation: Any) -> str:
    """Return what a value of the annotated type is, in words: the ``title`` of its ``Meta``."""
    return _words(annotation, "title")


def description_of(annotation: Any) -> str:
    """Return what a value of the annotated type is for, in words: the ``description`` of its ``Meta``."""
    return _words(annotation, "description")


def convert(value: Any, annotation: Any) -> Any:
    """Return *value* as the annotated type; text becomes a number, an enum, a time in UTC, … where that is the type.

    What ``extra["parse"]`` of the ``Meta`` makes of a text is its value. Raises ``ValueError`` ("must be …") when it is
    none; if that raises ``Nearly``, with what was probably meant.
    """
    is_number = any(getattr(kind, "__origin__", None) in (int, float) for kind in (annotation, *get_args(annotation)))
    try:
        if is_number and isinstance(value, str) and not _DECIMAL.fullmatch(value):
            raise ValueError  # noqa: TRY301 - the message is below
        typed = msgspec.convert(value, annotation, strict=not is_number)
        if isinstance(typed, datetime):
            typed = typed.astimezone(UTC)
        if parse := (_metadata(annotation).extra or {}).get("parse"):
            typed = [parse(text) for text in typed] if isinstance(typed, list) else parse(typed)
    except Nearly as meant:
        raise ValueError(f"must be {title_of(annotation)}; {meant} is probably meant") from None
    except (msgspec.ValidationError, ValueError, OverflowError):
        raise ValueError(f"must be {title_of(annotation)}") from None
    for text in typed if isinstance(typed, list) else [typed]:
        if type(text) is str and fit(text, len(text)) is None:
            raise ValueError("must not contain control characters")
    return typed


@cache
def _metadata(annotation: Any) -> msgspec.inspect.Metadata:
    """Return the ``Meta`` of the annotated type, also of one that may be None, or of a list's items."""
    match msgspec.inspect.type_info(annotation):
        case msgspec.inspect.Metadata() as found:
            return found
        case msgspec.inspect.UnionType(types=(msgspec.inspect.Metadata() as found, *_)):
            return found
        case msgspec.inspect.ListType(item_type=msgspec.inspect.Metadata() as found):
            return found
    raise LookupError(f"{annotation} has no Meta")


def _words(annotation: Any, name: str) -> str:
    words: str = (_metadata(annotation).extra_json_schema or {}).get(name, "")
    return words
