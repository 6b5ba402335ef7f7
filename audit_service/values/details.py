"""The ``details`` of an event: any JSON object, in one canonical form that every database gives back unchanged."""

from typing import Any

import msgspec

from audit_service.values import limits
from audit_service.values.text import clean


def normal_details(details: object) -> dict[str, Any] | None:
    """Return *details* with clean text and its keys in the order of PostgreSQL's JSONB; None for None and for ``{}``.

    Raises ``ValueError`` for what is no JSON object, is larger than 4 KiB as JSON or deeper than 16 levels, has keys
    that become the same, or has numbers that readers of JSON do not agree on.
    """
    if details is None:
        return None
    if not isinstance(details, dict):
        raise ValueError(f"details must be a dict, not {type(details).__name__}")  # noqa: TRY004 - one error for all
    normal = _object(details, limits.DETAILS_DEPTH)
    if len(msgspec.json.encode(normal)) > limits.DETAILS_BYTES:
        raise ValueError(f"details must be at most {limits.DETAILS_BYTES} bytes of JSON")
    return normal or None


def _object(value: dict[Any, Any], depth: int) -> dict[str, Any]:
    items = {clean(str(key), limits.DETAILS_BYTES): _normal(item, depth - 1) for key, item in value.items()}
    if len(items) < len(value):
        raise ValueError("details must not have keys that are the same once they are clean text")
    return dict(sorted(items.items(), key=lambda item: (len(item[0].encode()), item[0].encode())))


def _normal(value: Any, depth: int) -> Any:
    if depth == 0:
        raise ValueError(f"details must be at most {limits.DETAILS_DEPTH} levels deep")
    match value:
        case None | bool():
            return value
        case str():
            return clean(value, limits.DETAILS_BYTES)
        case int() | float() if -limits.DETAILS_NUMBER <= value <= limits.DETAILS_NUMBER:  # which is not true of NaN
            return value + 0  # turns -0.0 into 0.0
        case int() | float():
            raise ValueError("details must not contain numbers that readers of JSON do not agree on")
        case dict():
            return _object(value, depth)
        case list() | tuple():
            return [_normal(item, depth - 1) for item in value]
        case _:
            raise ValueError(f"details must be JSON; {type(value).__name__} is not")
