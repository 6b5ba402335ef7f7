"""Event rows in their canonical form, in the order of ``seq``, the same from SQLite and PostgreSQL.

A row is read as strictly as the form is: a value in any other type or spelling than the writers store is no event.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import cache
from ipaddress import ip_address
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from audit_service.errors import ProofError
from audit_service.events.base import Kind
from audit_service.events.kinds import KINDS
from audit_service.proofs.entry import FORMS, Form, Group, address_text
from audit_service.proofs.jcs import LARGEST, jcs
from audit_service.storage.dialects import is_postgresql
from audit_service.storage.outages import wrapped

_TIMES = ("recorded_at", "timestamp")
_TIME_SIZE = 27  # characters of 2026-01-02T03:04:05.000000Z


class Event(NamedTuple):
    """A row: the values of its form's plain fields, and the canonical texts of its groups."""

    seq: int
    form: Form
    plain: Sequence[Any]
    who: bytes
    where: bytes
    is_empty: tuple[bool, bool]  # whether all fields of who, and of where, are null


class Malformed(NamedTuple):
    """A row that has no canonical form: nobody who keeps to this program has written it."""

    seq: int
    kind: str
    column: str
    why: str


def read_rows(connection: Connection, first: int, last: int) -> list[Event | Malformed]:
    """Return the rows of all kinds with ``seq`` from *first* to *last*, both included, in its order.

    What is not there is missing in the list; a ``seq`` that is there twice is in it twice.
    """
    rows: list[Event | Malformed] = []
    for kind in KINDS:
        rows += _table(kind, is_postgresql(connection)).read(connection, first, last)
    rows.sort(key=lambda row: row.seq)
    return rows


def read_rows_of(connection: Connection, kind: Kind, seqs: Sequence[int]) -> Iterator[Event | Malformed]:
    """Yield the rows of one kind with one of these *seqs*, in any order."""
    return _table(kind, is_postgresql(connection)).read_some(connection, seqs)


@cache
def _table(kind: Kind, is_postgres: bool) -> "_Table":  # noqa: FBT001 - it is cached by it
    return _Table(kind, is_postgres=is_postgres)


class _Table:
    """How the rows of one kind are read."""

    def __init__(self, kind: Kind, *, is_postgres: bool) -> None:
        form = FORMS[kind.name]
        self._form, self._is_postgres = form, is_postgres
        self._names = (*form.plain, *form.who, *form.where)
        self._who, self._where = len(form.plain), len(form.plain) + len(form.who)
        self._seq, self._id = form.plain.index("seq"), form.plain.index("id")
        self._times = [(name, form.plain.index(name)) for name in _TIMES]
        self._details = form.who.index("details") if "details" in form.who else None
        self._address = form.where.index("remote_addr")
        columns = ", ".join(map(_postgresql_column, self._names) if is_postgres else self._names)
        place = "%s" if is_postgres else "?"
        some = "= ANY(%s)" if is_postgres else "IN (SELECT value FROM json_each(?))"
        self._query = f"SELECT {columns} FROM {kind.table} WHERE seq BETWEEN {place} AND {place}"  # noqa: S608
        self._query_some = f"SELECT {columns} FROM {kind.table} WHERE seq {some}"  # noqa: S608
        self._known_types: set[tuple[type, ...]] = set()

    def read(self, connection: Connection, first: int, last: int) -> Iterator[Event | Malformed]:
        """Yield the rows, in any order."""
        return self._events(_fetched(connection, self._query, (first, last)))

    def read_some(self, connection: Connection, seqs: Sequence[int]) -> Iterator[Event | Malformed]:
        """Yield the rows with one of these *seqs*, in any order."""
        parameter = list(seqs) if self._is_postgres else json.dumps(list(seqs))
        return self._events(_fetched(connection, self._query_some, (parameter,)))

    def _events(self, rows: Iterable[Sequence[Any]]) -> Iterator[Event | Malformed]:
        for row in rows:
            try:
                yield self._event(row)
            except _ColumnError as error:
                yield Malformed(row[self._seq], self._form.kind, *error.args)
            except ProofError as error:
                yield Malformed(row[self._seq], self._form.kind, "", str(error))

    def _event(self, row: Sequence[Any]) -> Event:
        types = tuple(map(type, row))
        if types not in self._known_types:
            self._check_types(types)
        plain, who, where = list(row[: self._who]), list(row[self._who : self._where]), list(row[self._where :])
        if self._is_postgres:
            for name, place in self._times:
                if len(plain[place]) != _TIME_SIZE:
                    raise _ColumnError(name, f"is no time: {plain[place][:40]!r}")
        else:
            plain[self._id] = _with_hyphens(plain[self._id])
            for name, place in self._times:
                text = plain[place]
                if len(text) != _TIME_SIZE - 1 or text[10] != " ":
                    raise _ColumnError(name, f"is no time: {text[:40]!r}")
                plain[place] = f"{text[:10]}T{text[11:]}Z"
        is_empty = who.count(None) == len(who), where.count(None) == len(where)
        if self._details is not None and who[self._details] is not None:
            who[self._details] = _canonical_details(who[self._details])
        if (address := where[self._address]) is not None:
            where[self._address] = self._address_text(address)
        form = self._form
        return Event(
            plain[self._seq],
            form,
            plain,
            form.group_text(Group.WHO, who),
            form.group_text(Group.WHERE, where),
            is_empty,
        )

    def _check_types(self, types: tuple[type, ...]) -> None:
        for name, type_ in zip(self._names, types, strict=True):
            if type_ is not (int if name == "seq" else str) and (type_ is not type(None) or name in _NEVER_NULL):
                raise _ColumnError(name, f"is stored as {type_.__name__}")
        self._known_types.add(types)

    def _address_text(self, text: str) -> str:
        canonical = address_text(text)
        # PostgreSQL has one value for all spellings of an address; in SQLite each is another text.
        if not self._is_postgres and text != canonical and text != str(ip_address(text)):
            raise _ColumnError("remote_addr", f"is another spelling of {canonical}: {text!r}")
        return canonical


_NEVER_NULL = ("id", "seq", "timestamp", "recorded_at", "app", "action", "outcome", "exception_type", "fingerprint")


def _fetched(connection: Connection, query: str, parameters: Sequence[Any]) -> list[Sequence[Any]]:
    """Return all rows as the driver has them: SQLAlchemy's own take as long again."""
    with wrapped(connection), closing(connection.connection.cursor()) as cursor:
        try:
            cursor.execute(query, parameters)
            return list(cursor.fetchall())
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
        # A text is no UTF-8. It is read as bytes, so that it can be said which.
        driver: Any = connection.connection.driver_connection
        driver.text_factory = _text_or_bytes
        try:
            cursor.execute(query, parameters)
            return list(cursor.fetchall())
        finally:
            driver.text_factory = str


def _text_or_bytes(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


class _ColumnError(Exception):
    """The name of a column, and what is wrong with it."""


def _postgresql_column(name: str) -> str:
    if name in _TIMES:
        in_form = f"""to_char(timezone('UTC', {name}), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
        # to_char has the same text for a year before Christ and for the one after.
        return f"CASE WHEN {name} >= timestamptz '0001-01-01 00:00:00+00' THEN {in_form} ELSE {name}::text END"
    return f"{name}::text" if name in ("id", "details") else name  # our connections get addresses as texts


def _with_hyphens(text: str) -> str:
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _canonical_details(text: str) -> msgspec.Raw:
    """Return the canonical JSON of details. PostgreSQL has other spaces, orders and numbers than what was stored."""
    try:
        details = json.loads(text, parse_int=_integer, object_pairs_hook=_object, parse_constant=_refuse)
        if not isinstance(details, dict):
            raise _ColumnError("details", "is no JSON object")
        return msgspec.Raw(jcs(details))
    except (ValueError, RecursionError) as error:
        raise _ColumnError("details", f"is no JSON: {error}") from None


def _integer(digits: str) -> int | float:
    """Return a number without a fraction: a large float has none in PostgreSQL's JSON, and is an integer there."""
    number = int(digits) if len(digits) <= 400 else LARGEST + 1  # noqa: PLR2004 - the largest float has 309 digits
    return number if abs(number) <= LARGEST else float(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")
