"""The one JSON text of a value: the JSON Canonicalization Scheme (RFC 8785)."""

from math import isfinite
from typing import Any

import msgspec

from audit_service.errors import ProofError

LARGEST = 2**53  # integers up to it are the same number in every reader of JSON

_encode = msgspec.json.Encoder().encode  # escapes strings as the scheme wants it


def jcs(value: Any) -> bytes:
    """Return the canonical JSON of *value*, in UTF-8.

    Raises ``ProofError`` for what has none: a number that is not finite or an integer beyond 2^53, a text with half a
    surrogate pair, and whatever is no JSON.
    """
    match value:
        case None | bool():
            return _encode(value)
        case str():
            return _text(value)
        case int():
            if abs(value) > LARGEST:
                raise ProofError(f"{value} is no integer that every reader of JSON knows exactly")
            return b"%d" % value
        case float():
            return _number(value).encode()
        case list():
            return b"[" + b",".join(map(jcs, value)) + b"]"
        case dict():
            parts = [_text(name) + b":" + jcs(value[name]) for name in sorted(value, key=_utf16)]
            return b"{" + b",".join(parts) + b"}"
    raise ProofError(f"{type(value).__name__} is no type of JSON")


def _text(text: str) -> bytes:
    try:
        return _encode(text)
    except UnicodeEncodeError:
        raise ProofError(f"{text[:80]!r} is no Unicode text") from None


def _utf16(name: Any) -> bytes:
    """Return what a name is sorted by."""
    if not isinstance(name, str):
        raise ProofError(f"a name of {type(name).__name__} is no JSON")
    return name.encode("utf-16-be", "surrogatepass")


def _number(value: float) -> str:
    """Return *value* as ECMAScript writes it (ECMA-262, Number::toString)."""
    if not isfinite(value):
        raise ProofError(f"{value} is no number of JSON")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    point = len(whole) + int(exponent or 0)  # where the decimal point is, counted from the first digit
    digits = (whole + fraction).lstrip("0")
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:  # noqa: PLR2004
        return f"{sign}{digits.ljust(point, '0')}"
    if 0 < point <= 21:  # noqa: PLR2004
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:  # noqa: PLR2004
        return f"{sign}0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{point - 1:+d}"
