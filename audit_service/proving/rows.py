"""Event rows in their canonical form, in the order of ``seq``, the same from SQLite and PostgreSQL.

A row is read as strictly as the form is: a value in any other type or spelling than the writers store is no event.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from ipaddress import ip_address
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection

from audit_service.errors import ProofError
from audit_service.events.base import Kind
from audit_service.events.kinds import KINDS
from audit_service.proofs.entry import FORMS, Form, Group, address_text
from audit_service.proving.details import canonical_details
from audit_service.storage.dialects import is_postgresql
from audit_service.storage.driver_rows import fetch_rows

_TIMES = ("recorded_at", "timestamp")
_TIME_SIZE = 26  # characters of 2026-01-02 03:04:05.000000


class Event(NamedTuple):
    """A row: the canonical texts of its plain fields and of its groups.

    ``recorded_at`` is as in the plain text; ``action`` is empty if the kind has none. ``is_empty`` tells whether all
    fields of who, and of where, are null.
    """

    seq: int
    form: Form
    recorded_at: str
    action: str
    plain: bytes
    who: bytes
    where: bytes
    is_empty: tuple[bool, bool]


class Malformed(NamedTuple):
    """A row that has no canonical form: nobody who keeps to this program has written it."""

    seq: int
    kind: str
    column: str
    why: str

    @property
    def words(self) -> str:
        """What is wrong, as a sentence without its full stop."""
        what = f"{self.column} {self.why}".lstrip()
        return f"the {self.kind} event {self.seq} is not one that this program has written: {what}"


Row = Event | Malformed


def read_rows(connection: Connection, first: int, last: int) -> list[Row]:
    """Return the rows of all kinds with ``seq`` from *first* to *last*, both included, in its order.

    What is not there is missing in the list; a ``seq`` that is there twice is in it twice.
    """
    rows: list[Row] = []
    for kind in KINDS:
        rows += _table(kind, is_postgresql(connection)).read(connection, first, last)
    rows.sort(key=itemgetter(0))
    return rows


def read_rows_of(connection: Connection, kind: Kind, seqs: Sequence[int]) -> Iterator[Row]:
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
        self._recorded_at = form.plain.index("recorded_at")
        self._action = form.plain.index("action") if "action" in form.plain else None
        self._times = [(name, form.plain.index(name)) for name in _TIMES]
        self._details = form.who.index("details") if "details" in form.who else None
        self._address = form.where.index("remote_addr")
        columns = ", ".join(_ON_POSTGRESQL.get(name, name) if is_postgres else name for name in self._names)
        some = "= ANY(?)" if is_postgres else "IN (SELECT value FROM json_each(?))"
        self._query = f"SELECT {columns} FROM {kind.table} WHERE seq BETWEEN ? AND ?"  # noqa: S608
        self._query_some = f"SELECT {columns} FROM {kind.table} WHERE seq {some}"  # noqa: S608
        self._known_types: dict[tuple[type, ...], tuple[bool, bool]] = {}

    def read(self, connection: Connection, first: int, last: int) -> Iterator[Row]:
        """Yield the rows, in any order."""
        return self._events(fetch_rows(connection, self._query, (first, last)))

    def read_some(self, connection: Connection, seqs: Sequence[int]) -> Iterator[Row]:
        """Yield the rows with one of these *seqs*, in any order."""
        parameter = list(seqs) if self._is_postgres else json.dumps(list(seqs))
        return self._events(fetch_rows(connection, self._query_some, (parameter,)))

    def _events(self, rows: Iterable[Sequence[Any]]) -> Iterator[Row]:
        for row in rows:
            try:
                yield self._event(row)
            except _ColumnError as error:
                yield Malformed(row[self._seq], self._form.kind, *error.args)
            except ProofError as error:
                yield Malformed(row[self._seq], self._form.kind, "", str(error))

    def _event(self, row: Sequence[Any]) -> Event:
        types = tuple(map(type, row))
        is_empty = self._known_types.get(types) or self._checked_types(types)
        plain, who, where = list(row[: self._who]), list(row[self._who : self._where]), list(row[self._where :])
        for name, place in self._times:
            text = plain[place]
            if self._is_postgres and len(text) < _TIME_SIZE and text[-1].isdigit():  # no "infinity", and no "BC"
                text += ".000000"[len(text) - _TIME_SIZE :]  # zeros at the end are left out
            if len(text) != _TIME_SIZE or text[4:17:6] != "- :" or not text[-1].isdigit():
                raise _ColumnError(name, f"is no time: {text[:40]!r}")
            plain[place] = text.replace(" ", "T") + "Z"
        if not self._is_postgres:
            plain[self._id] = _with_hyphens(plain[self._id])
        if self._details is not None and who[self._details] is not None:
            try:
                who[self._details] = canonical_details(who[self._details])
            except ValueError as error:
                raise _ColumnError("details", str(error)) from None
        if (address := where[self._address]) is not None:
            where[self._address] = self._address_text(address)
        form = self._form
        return Event(
            plain[self._seq],
            form,
            plain[self._recorded_at],
            "" if self._action is None else plain[self._action],
            form.plain_text(plain),
            form.group_text(Group.WHO, who),
            form.group_text(Group.WHERE, where),
            is_empty,
        )

    def _checked_types(self, types: tuple[type, ...]) -> tuple[bool, bool]:
        """Return whether in rows of these *types* all fields of who, and of where, are null."""
        for name, type_ in zip(self._names, types, strict=True):
            if type_ is not (int if name == "seq" else str) and (type_ is not type(None) or name in _NEVER_NULL):
                raise _ColumnError(name, f"is stored as {type_.__name__}")
        groups = types[self._who : self._where], types[self._where :]
        is_empty = set(groups[0]) == {type(None)}, set(groups[1]) == {type(None)}
        self._known_types[types] = is_empty
        return is_empty

    def _address_text(self, text: str) -> str:
        canonical = address_text(text)
        # PostgreSQL has one value for all spellings of an address; in SQLite each is another text.
        if not self._is_postgres and text != canonical and text != str(ip_address(text)):
            raise _ColumnError("remote_addr", f"is another spelling of {canonical}: {text!r}")
        return canonical


_NEVER_NULL = ("id", "seq", "timestamp", "recorded_at", "app", "action", "outcome", "exception_type", "fingerprint")


class _ColumnError(Exception):
    """The name of a column, and what is wrong with it."""


# Whatever the session's DateStyle is, a time in any other than ISO 8601 is refused above.
_ON_POSTGRESQL = {name: f"timezone('UTC', {name})::text" for name in _TIMES} | {
    "id": "id::text",
    "details": "details::text",
    "remote_addr": "abbrev(remote_addr)",
}


def _with_hyphens(text: str) -> str:
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
