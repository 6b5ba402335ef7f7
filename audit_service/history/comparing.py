"""Comparisons of texts that are more than equality, as SQL: in small letters, by their beginning, by a part.

Case is that of the letters A to Z, on both databases: the locale of a database decides nothing, and an index stays
what it was when the locale changes.
"""

import string
from itertools import product

import msgspec
from sqlalchemy import ColumnElement, Dialect, String, and_, cast, collate, exists, func, literal, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from audit_service.storage.dialects import is_postgresql
from audit_service.values import limits

_SMALL = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_CAPITAL = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
_LETTERS = 4  # the first of a name, of which SQLite looks up all spellings
_RANGES = 256  # of an index, at most, that are looked up for one filter
_LAST = "\U0010ffff"
_BEFORE_SURROGATES, _AFTER_SURROGATES = "\ud7ff", "\ue000"


def small(text: str) -> str:
    """Return *text* with small letters for A to Z."""
    return text.translate(_SMALL)


def folded(column: ColumnElement[str], dialect: Dialect) -> ColumnElement[str]:
    """Return the column as ``small`` has it, in the order of code points."""
    return func.lower(collate(column, "C") if is_postgresql(dialect) else column, type_=String())


def begins(column: ColumnElement[str], prefix: str) -> ColumnElement[bool]:
    """Return the condition that a text begins with *prefix*, as a range of an index in the order of code points."""
    following = _following(prefix)
    return column >= prefix if following is None else and_(column >= prefix, column < following)


def is_any_of(column: ColumnElement[str], texts: list[str], dialect: Dialect, *, is_whole: bool) -> ColumnElement[bool]:
    """Return the condition that a text is, or not *is_whole* begins with, any of *texts*, whatever its case.

    SQLite has no index of small letters, which would cost each write: there the spellings of the first letters are
    looked up in the index of the column itself.
    """
    in_small = folded(column, dialect)
    small_texts = [small(text) for text in texts]
    exactly = in_small.in_(small_texts) if is_whole else or_(*(begins(in_small, each) for each in small_texts))
    return exactly if is_postgresql(dialect) else and_(_is_near(column, texts), exactly)


def _is_near(column: ColumnElement[str], texts: list[str]) -> ColumnElement[bool]:
    """Return the condition that a text begins with a spelling of the beginning of any of *texts*.

    Of many texts fewer letters are spelt: each range costs time and memory before a row is read.
    """
    letters = _LETTERS
    while letters > 1 and len(texts) * 2**letters > _RANGES:
        letters -= 1
    spellings = {each for text in texts for each in _spellings(text, letters)}
    return or_(*(begins(column, each) for each in sorted(spellings)))


def contains(column: ColumnElement[str], part: str, dialect: Dialect) -> ColumnElement[bool]:
    """Return the condition that *part* is in a text, whatever its case."""
    in_small = folded(column, dialect)
    if is_postgresql(dialect):
        return func.strpos(in_small, small(part)) > 0
    return func.instr(in_small, small(part)) > 0


def has_member(details: ColumnElement[object], text: str, dialect: Dialect) -> ColumnElement[bool]:
    """Return the condition that an object has a member as in *text*, ``key=value``.

    The value may be this text, or the number, true or false that it is in JSON.
    """
    key, _, value = text.partition("=")
    meant = [value, *_scalars(value)]
    if is_postgresql(dialect):
        return or_(*(details.op("@>")(cast(literal({key: each}, JSONB), JSONB)) for each in meant))
    members = func.json_each(details).table_valued("key", "atom", "type")

    def is_value(each: str | float) -> ColumnElement[bool]:
        if isinstance(each, bool):
            return members.c.type == str(each).lower()
        types = ("text",) if isinstance(each, str) else ("integer", "real")
        return and_(members.c.type.in_(types), members.c.atom == each)

    any_of = or_(*(is_value(each) for each in meant))
    return exists(select(literal(1)).select_from(members).where(members.c.key == key, any_of))


def _scalars(value: str) -> list[int | float | bool]:
    try:
        found = msgspec.json.decode(value)
    except msgspec.DecodeError:
        return []
    return [found] if isinstance(found, int | float) and abs(found) <= limits.DETAILS_NUMBER else []


def _spellings(text: str, most: int = _LETTERS) -> set[str]:
    """Return all spellings of the beginning of *text*, up to the letter that would be one more than *most*."""
    spelt: list[set[str]] = []
    letters = 0
    for each in text:
        spelt.append({each.translate(_SMALL), each.translate(_CAPITAL)})
        letters += len(spelt[-1]) > 1
        if letters > most:
            spelt.pop()
            break
    return {"".join(one) for one in product(*spelt)}


def _following(prefix: str) -> str | None:
    """Return the first text behind all that begin with *prefix*; None if there is none."""
    begin = prefix.rstrip(_LAST)
    if not begin:
        return None
    last = begin[-1]
    return begin[:-1] + (_AFTER_SURROGATES if last == _BEFORE_SURROGATES else chr(ord(last) + 1))
