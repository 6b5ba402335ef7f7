"""The details of an event in their canonical form, whatever spaces, orders and spellings a database has for them."""

import json
from typing import Any

import msgspec

from audit_service.proofs.jcs import LARGEST, jcs

_MOST_DIGITS = 400  # the largest float has 309


def canonical_details(text: str) -> msgspec.Raw:
    """Return the canonical JSON of details. PostgreSQL has other spaces, orders and numbers than what was stored.

    Raises ``ValueError`` for what is no JSON object, and ``ProofError`` for one that has no canonical form.
    """
    try:
        details = json.loads(text, parse_int=_integer, object_pairs_hook=_object, parse_constant=_refuse)
        if isinstance(details, dict):
            return msgspec.Raw(jcs(details))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no JSON: {error}") from None
    raise ValueError("is no JSON object")


def _integer(digits: str) -> int | float:
    """Return a number without a fraction: a large float has none in PostgreSQL's JSON, and is an integer there."""
    number = int(digits) if len(digits) <= _MOST_DIGITS else LARGEST + 1
    return number if abs(number) <= LARGEST else float(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")
