"""How a filter compares, where it does not ask for the same value. A value is never a pattern: a ``*`` is a ``*``.

A filter with an operator is a field like the others, named after the field that it looks at: ``reason_not`` is
``reason!`` in a query string, so that one may write ``reason!=throttled``.
"""

from enum import StrEnum


class Operator(StrEnum):
    """What stands behind the name of a field in a query string. Case is that of the letters A to Z."""

    NOT = "!"  # another value, or none
    IGNORE_CASE = ":i"  # this value, whatever its case
    PREFIX = ":prefix"  # a value that begins so, whatever its case
    CONTAINS = ":contains"  # a value with this in it, whatever its case


_ENDINGS = {
    "_not": Operator.NOT,
    "_i": Operator.IGNORE_CASE,
    "_prefix": Operator.PREFIX,
    "_contains": Operator.CONTAINS,
}


def split(name: str) -> tuple[str, Operator | None]:
    """Return the field that the filter *name* looks at, and its operator; None for the same value."""
    for ending, operator in _ENDINGS.items():
        if name.endswith(ending):
            return name.removesuffix(ending), operator
    return name, None


def in_query(name: str) -> str:
    """Return the name of a filter in a query string."""
    field, operator = split(name)
    return f"{field}{operator or ''}"
