"""Everything that matches, as a stream of lines in constant memory: CSV (RFC 4180) or NDJSON, one event a line."""

import csv
import io
import re
from collections.abc import Generator, Sequence
from contextlib import closing
from enum import StrEnum
from functools import partial, reduce
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import JSON, ColumnElement, Connection, Dialect, Engine, String, Table, Uuid, cast, func, type_coerce

from audit_service.history.query import PATIENCE, events_query
from audit_service.history.question import Question
from audit_service.storage.bounded import patient
from audit_service.storage.database import IpAddress, UtcDateTime, canonical_address
from audit_service.storage.dialects import is_postgresql, is_sqlite
from audit_service.storage.models import table_of
from audit_service.storage.outages import wrapped

CHUNK = 1000  # rows
_FORMULA = "-=+@＝＋－＠"  # noqa: RUF001 - what a spreadsheet takes for the begin of a formula
# Where spreadsheets may split cells that we do not: they take quotes within a cell as they come.
_FORMULA_WITHIN = re.compile(rf'([;|\t\r\n]"*)(?=[{_FORMULA}])')
_encoder = msgspec.json.Encoder()


class Format(StrEnum):
    """The form of an export."""

    CSV = "csv"
    NDJSON = "ndjson"


CONTENT_TYPES = {Format.CSV: "text/csv; charset=utf-8; header=present", Format.NDJSON: "application/x-ndjson"}


class Chunk(NamedTuple):
    """Whole lines, and how many events are in them; the first says instead how many events there are in all."""

    lines: bytes
    events: int


def export(engine: Engine, question: Question, form: Format, *, idle: float | None = None) -> Generator[Chunk]:
    """Yield all events that match, as they were at one moment; the first chunk has their number, and of CSV the names.

    PostgreSQL ends the transaction when the next chunk is not requested within *idle* seconds; with None it never does.

    Raises what SQLAlchemy raises, before the first chunk or later. A caller that stops early calls ``close``, which
    frees the connection at once.
    """
    table, dialect = table_of(question.kind), engine.dialect
    names = question.kind.item.__struct_fields__
    query = events_query(dialect, question, None, None)
    query = query.with_only_columns(*(_as_text(table, name, dialect).label(name) for name in names))
    address = names.index("remote_addr")
    texts = [place for place, name in enumerate(names) if isinstance(table.c[name].type, String)]
    lines = partial(_csv_lines, texts) if form is Format.CSV else partial(_json_lines, names)
    # What is compiled is not kept: it may be large, and the next export asks for something else.
    options: dict[str, Any] = {"stream_results": True, "max_row_buffer": CHUNK, "compiled_cache": None}
    if is_postgresql(dialect):  # a cursor of the server lives in a transaction
        options["isolation_level"] = "REPEATABLE READ"
    with wrapped(engine):
        connection = engine.execution_options(**options).connect()
    with connection, patient(connection, PATIENCE):
        if is_sqlite(dialect):  # the driver of a host app begins no transaction for reading
            _begin(connection)
        elif idle is not None:
            limit = f"SET LOCAL idle_in_transaction_session_timeout = {int(idle * 1000)}"
            connection.exec_driver_sql(limit, execution_options={"stream_results": False})
        total = connection.execute(
            query.with_only_columns(func.count(), maintain_column_froms=True).order_by(None)
        ).scalar_one()
        with closing(connection.execute(query)) as result:
            yield Chunk(",".join(names).encode() + b"\r\n" if form is Format.CSV else b"", total)
            for rows in result.partitions(CHUNK):
                yield Chunk(lines([_with_canonical_address(row, address) for row in rows]), len(rows))


def _begin(connection: Connection) -> None:
    connection.begin()
    if not getattr(connection.connection.dbapi_connection, "in_transaction", True):
        connection.exec_driver_sql("BEGIN")


def _with_canonical_address(row: Sequence[Any], place: int) -> Sequence[Any]:
    address = row[place]
    if address is None or "." not in address or ":" not in address:
        return row
    return [*row[:place], canonical_address(address), *row[place + 1 :]]


def _json_lines(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    objects = [dict(zip(names, row, strict=True)) for row in rows]
    if "details" in names:
        for each in objects:
            if each["details"] is not None:
                each["details"] = msgspec.Raw(each["details"].encode())
    return _encoder.encode_lines(objects)


def _csv_lines(texts: Sequence[int], rows: Sequence[Sequence[Any]]) -> bytes:
    """Put an apostrophe before what a spreadsheet would run, as OWASP advises (CSV injection)."""
    text = io.StringIO()
    csv.writer(text).writerows(_harmless(row, texts) for row in rows)
    return _FORMULA_WITHIN.sub(r"\1'", text.getvalue()).encode()


def _harmless(row: Sequence[Any], texts: Sequence[int]) -> Sequence[Any]:
    for place in texts:
        text = row[place]
        if text and text[0] in _FORMULA + "\t\r\n":
            row = [*row[:place], f"'{text}", *row[place + 1 :]]
    return row


def _as_text(table: Table, name: str, dialect: Dialect) -> ColumnElement[Any]:
    """Return the column as the text that JSON has for it: the database makes it faster than Python's objects do."""
    column = table.c[name]
    if is_postgresql(dialect):
        if isinstance(column.type, UtcDateTime):
            return _without_zeros(func.to_char(func.timezone("UTC", column), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
        if isinstance(column.type, IpAddress):
            return func.host(column)
        return cast(column, String) if isinstance(column.type, Uuid | JSON) else column
    raw = type_coerce(column, String)
    if isinstance(column.type, UtcDateTime):
        return _without_zeros(func.substr(raw, 1, 10).concat("T").concat(func.substr(raw, 12)).concat("Z"))
    if isinstance(column.type, Uuid):
        parts = [func.substr(raw, begin, length) for begin, length in ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))]
        return reduce(lambda left, right: left.concat("-").concat(right), parts)
    return raw if isinstance(column.type, IpAddress | JSON) else column


def _without_zeros(time: ColumnElement[str]) -> ColumnElement[str]:
    return func.replace(time, ".000000Z", "Z")
