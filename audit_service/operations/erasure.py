"""Personal data is erased: which events have it, their fields, and what is left of it in the files.

Events are found once, before anybody is asked, and just these are erased from, a chunk after the other. A crash leaves
each chunk whole: erased, with its admin event, or untouched.
"""

import time
from array import array
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, false, func, literal, or_, select, text

from audit_service.errors import AuditError, NotConfiguredError
from audit_service.events.admin import ADMIN_EVENTS
from audit_service.events.base import Kind
from audit_service.events.kinds import KINDS
from audit_service.proofs.entry import FORMS, Group
from audit_service.proving.erasing import CHUNK, LASTING, Erasing, erase_within
from audit_service.proving.log import read_log
from audit_service.signing.database import PATIENCE, Database
from audit_service.storage.append_only import require_owner
from audit_service.storage.dialects import is_postgresql
from audit_service.storage.models import KnownSession, RefusedAttempts, table_of
from audit_service.storage.outages import DATABASE_ERRORS, is_held
from audit_service.vocabulary import AdminAction

PAUSE = 0.05  # seconds between two chunks, at least: in them others write
LOOKS = (AdminAction.HISTORY_READ, AdminAction.HISTORY_EXPORTED, AdminAction.ACCESS_REFUSED)
_FETCHED = 10_000  # rows that are fetched at once


class Wish(NamedTuple):
    """Whose events, by one of both: those that name *username*, exactly; those from before a time. And which groups."""

    username: str | None
    before: datetime | None
    groups: Collection[Group]


class Found(NamedTuple):
    """Events of a kind that have what is to be erased: all of them are signed. Their times are those of the events."""

    kind: Kind
    seqs: Sequence[int]
    first: datetime
    last: datetime


def find(connection: Connection, wish: Wish) -> list[Found]:
    """Return the events that *wish* means, of each kind that has any, in the order of ``seq``.

    Raises ``NotConfiguredError`` without a log, or for a database user who does not own the tables; ``AuditError`` if
    the signer has not taken in all of them yet.
    """
    log = read_log(connection)
    if log is None:
        raise NotConfiguredError(
            "the trail has no log yet, and what is erased must be in it: run 'audit-service sign --once'"
        )
    found: list[Found] = []
    unsigned = 0
    for kind in KINDS:
        require_owner(connection, kind.table)
        seqs, times = array("q"), []
        table = table_of(kind)
        query = select(table.c.seq, table.c.timestamp).where(_is_meant(connection, kind, wish), _has_any(kind, wish))
        for rows in connection.execution_options(yield_per=_FETCHED).execute(query).partitions():
            seqs.extend(row.seq for row in rows)
            times += [pick(row.timestamp for row in rows) for pick in (min, max)]
        unsigned += sum(seq > log.size for seq in seqs)
        if seqs:
            found.append(Found(kind, array("q", sorted(seqs)), min(times), max(times)))
    if unsigned:
        raise AuditError(
            f"{unsigned} of the events are not signed yet: wait for the signer, or run 'audit-service sign --once'"
        )
    return found


def erase(database: Database, found: Found, task: Erasing, progress: Callable[[int], None]) -> int:
    """Erase from the events that were *found*, and return from how many; tell *progress* after each chunk.

    Between chunks others write. Raises ``ProofError`` at an event that somebody has changed: the chunks before it are
    erased. Raises what SQLAlchemy raises if a chunk cannot be stored for ``PATIENCE`` seconds.
    """
    count = 0
    for place in range(0, len(found.seqs), CHUNK):
        seqs = list(found.seqs[place : place + CHUNK])
        started = time.monotonic()
        count += _erase_chunk(database, found.kind, seqs, task)
        progress(len(seqs))
        time.sleep(max(PAUSE, time.monotonic() - started))
    return count


def forget(database: Database, username: str) -> int:
    """Delete the sessions and the counted refusals of *username*; return how many. Its account stays."""
    with database.write() as connection:
        _overwrite(connection)
        models = (KnownSession, RefusedAttempts)
        return sum(connection.execute(delete(model).where(model.username == username)).rowcount for model in models)


def _erase_chunk(database: Database, kind: Kind, seqs: Sequence[int], task: Erasing) -> int:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with database.write() as connection:
                _overwrite(connection)
                return erase_within(connection, kind, seqs, task)
        except DATABASE_ERRORS as error:
            if not is_held(error) or time.monotonic() > deadline:
                raise
        time.sleep(PAUSE)


def _overwrite(connection: Connection) -> None:
    """Let SQLite overwrite what it deletes."""
    if not is_postgresql(connection):
        connection.exec_driver_sql("PRAGMA secure_delete=ON")


def _is_meant(connection: Connection, kind: Kind, wish: Wish) -> ColumnElement[bool]:
    table = table_of(kind)
    if wish.before is not None:
        return table.c.timestamp < wish.before
    names = [table.c[name] == wish.username for name in kind.names]
    if kind is ADMIN_EVENTS:
        names.append(and_(table.c.action.in_(LOOKS), _asks_for(connection, table, wish.username or "")))
    return or_(*names)


def _asks_for(connection: Connection, table: Table, username: str) -> ColumnElement[bool]:
    """Whether the details of a look at the history have that name as a value: somebody has asked for it."""
    if is_postgresql(connection):
        name = func.jsonb_build_object("name", username)
        return func.jsonb_path_exists(table.c.details, text("'$.** ? (@ == $name)'::jsonpath"), name)
    values = func.json_tree(table.c.details).table_valued("atom", "type")
    return select(literal(1)).where(values.c.type == "text", values.c.atom == username).exists()


def _has_any(kind: Kind, wish: Wish) -> ColumnElement[bool]:
    """Whether an event has anything that is to be erased: what was erased has nothing."""
    table, form = table_of(kind), FORMS[kind.name]
    parts: list[ColumnElement[bool]] = [false()]
    for group in wish.groups:
        is_there = or_(*(table.c[name].is_not(None) for name in form.fields(group)))
        lasts = kind is ADMIN_EVENTS and group is Group.WHO
        parts.append(and_(table.c.action.not_in(LASTING), is_there) if lasts else is_there)
    return or_(*parts)
