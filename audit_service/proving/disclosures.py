"""What is given to auditors: the events as they were signed, with what opens their commitments, and the checkpoints."""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, and_, func, select
from sqlalchemy.orm import aliased

from audit_service.events.base import Kind
from audit_service.proofs.entry import OPENING_SIZE, Group, missing_entry
from audit_service.proofs.merkle import leaf_hash
from audit_service.proving.confirmations import IS_COSIGNATURE
from audit_service.proving.leaves import ERASED, StoredLeaf, entry_of, read_erasures, read_leaf, read_leaves
from audit_service.proving.log import Log, StoredCheckpoint
from audit_service.proving.rows import Event, read_rows, read_rows_of
from audit_service.storage.dialects import is_postgresql
from audit_service.storage.log_models import TrailCheckpoint, TrailConfirmation, TrailLog
from audit_service.storage.outages import wrapped


class Openings(msgspec.Struct, frozen=True):
    """What opens the commitments of an entry: of each group 16 random bytes in base64, null where it was erased."""

    where: str | None
    who: str | None


class Disclosure(NamedTuple):
    """A leaf: the canonical JSON of its entry and of its groups, None for a group that was erased."""

    seq: int
    entry: bytes
    who: bytes | None
    where: bytes | None
    openings: Openings | None
    is_as_signed: bool


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that sees one moment of the database, for reading. Raises what SQLAlchemy raises."""
    with engine.connect() as connection:
        if is_postgresql(engine):
            with wrapped(engine):
                connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():  # COMMIT ends it: after a ROLLBACK psycopg has no prepared statements
            yield connection


def read_disclosures(connection: Connection, first: int, last: int) -> list[Disclosure]:
    """Return the leaves from *first* to *last*, both included, in their order.

    A row that nobody can have signed, because it is there twice or has no canonical form, is left out, and so is a row
    that is not there, unless it is declared missing.
    """
    rows = read_rows(connection, first, last)
    leaves = read_leaves(connection, first, last)
    erasures = read_erasures(connection, first, last)
    events: dict[int, Event | None] = {}
    for row in rows:
        events[row.seq] = None if row.seq in events or not isinstance(row, Event) else row
    found = []
    for seq in range(first, last + 1):
        if leaf := leaves.get(seq):
            given = _disclosure(seq, events.get(seq), leaf, erasures.get(seq, {}))
            found += [given] if given else []
    return found


def read_disclosure(connection: Connection, kind: Kind, seq: int) -> Disclosure | None:
    """Return the leaf of one event, as ``read_disclosures`` does; None if that leaves it out.

    Only the table of its *kind* is read.
    """
    rows = list(read_rows_of(connection, kind, [seq]))
    leaf, erased = read_leaf(connection, seq)
    event = rows[0] if len(rows) == 1 and isinstance(rows[0], Event) else None
    return _disclosure(seq, event, leaf, erased) if leaf else None


def _disclosure(seq: int, event: Event | None, leaf: StoredLeaf, erased: dict[Group, bytes]) -> Disclosure | None:
    return _event(event, leaf, erased) if event and leaf.opening else _missing(seq, leaf)


def _event(event: Event, leaf: StoredLeaf, erased: dict[Group, bytes]) -> Disclosure:
    openings = leaf.opening or b""
    entry = entry_of(event, openings, erased)
    who, where = openings[:OPENING_SIZE], openings[OPENING_SIZE:]
    return Disclosure(
        seq=event.seq,
        entry=entry,
        who=None if Group.WHO in erased else event.who,
        where=None if Group.WHERE in erased else event.where,
        openings=Openings(where=_opening(where), who=_opening(who)),
        is_as_signed=leaf_hash(entry) == leaf.hash,
    )


def _opening(opening: bytes) -> str | None:
    return None if opening == ERASED else b64encode(opening).decode()


def _missing(seq: int, leaf: StoredLeaf) -> Disclosure | None:
    entry = missing_entry(seq)
    return Disclosure(seq, entry, None, None, None, is_as_signed=True) if leaf_hash(entry) == leaf.hash else None


class Signed(NamedTuple):
    """The log, the newest of its checkpoints, and the note of that one as ``cosigned`` returns it."""

    log: Log
    checkpoint: StoredCheckpoint
    cosigned: bytes


_OF_LOG = aliased(TrailCheckpoint)
_NEWEST = select(func.max(_OF_LOG.size)).where(_OF_LOG.log_id == TrailLog.log_id).scalar_subquery()
_SIGNED = (
    select(
        *(getattr(TrailLog, name) for name in Log._fields),
        *(getattr(TrailCheckpoint, name) for name in StoredCheckpoint._fields),
        TrailConfirmation.line,
    )
    .select_from(TrailLog)
    .join(TrailCheckpoint, and_(TrailCheckpoint.log_id == TrailLog.log_id, TrailCheckpoint.size == _NEWEST))
    .outerjoin(
        TrailConfirmation,
        and_(
            TrailConfirmation.log_id == TrailCheckpoint.log_id,
            TrailConfirmation.size == TrailCheckpoint.size,
            IS_COSIGNATURE,
        ),
    )
    .order_by(TrailConfirmation.name)
)


def read_signed(connection: Connection) -> Signed | None:
    """Return the log with its newest checkpoint, None before the first one."""
    rows = connection.execute(_SIGNED).all()
    if not rows:
        return None
    columns = len(Log._fields)
    log, (size, signed_at, note, _) = Log(*rows[0][:columns]), rows[0][columns:]
    checkpoint = StoredCheckpoint(size, signed_at, note.encode())
    return Signed(log, checkpoint, _note(checkpoint.note, (row.line for row in rows if row.line)))


def cosigned(connection: Connection, log_id: str, checkpoint: StoredCheckpoint) -> bytes:
    """Return the note of *checkpoint* with the lines of those witnesses that have cosigned it."""
    query = select(TrailConfirmation.line).where(
        TrailConfirmation.log_id == log_id,
        TrailConfirmation.size == checkpoint.size,
        IS_COSIGNATURE,
    )
    return _note(checkpoint.note, connection.execute(query.order_by(TrailConfirmation.name)).scalars())


def _note(note: bytes, lines: Iterable[str | None]) -> bytes:
    return note + "".join(f"{line}\n" for line in lines).encode()
