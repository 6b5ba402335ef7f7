"""A database as the source of a history that is verified."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.engine import URL

from audit_service.events.kinds import KINDS
from audit_service.proving.confirmations import IS_COSIGNATURE
from audit_service.proving.log import read_log
from audit_service.proving.rows import read_rows
from audit_service.storage.database import make_engine
from audit_service.storage.dialects import is_postgresql
from audit_service.storage.driver_rows import fetch_rows
from audit_service.storage.log_models import TrailCheckpoint, TrailConfirmation, TrailErasure, TrailLeaf, TrailTile
from audit_service.storage.models import TrailHead
from audit_service.verifying.columns import check_types, column_findings, trigger_findings
from audit_service.verifying.findings import Code, Finding
from audit_service.verifying.source import Block, Erasure, Head, Leaf

PATIENCE = 600.0  # seconds to wait for an answer; nobody waits for the verifier
_MOST_NAMED = 20  # of events out of range, each of which is a finding


class DatabaseOpener(NamedTuple):
    """Opens the database at a URL as a source."""

    url: URL

    @contextmanager
    def __call__(self) -> Iterator["DatabaseSource"]:
        """Open the database. Raises what SQLAlchemy raises."""
        engine = make_engine(self.url, patience=PATIENCE)
        try:
            yield DatabaseSource(engine)
        finally:
            engine.dispose()


class DatabaseSource:
    """The tables of a trail. Each answer is read in a transaction of its own, and is of one moment."""

    has_tiles = True

    def __init__(self, engine: Engine) -> None:
        """Read through *engine*."""
        self._engine = engine
        if is_postgresql(engine):
            self._engine = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def head(self) -> Head | None:
        """Return what the database says of itself; None if it has no log. Raises ``LogFormError``."""
        with self._engine.begin() as connection, _any_text(connection):
            check_types(connection)
            log = read_log(connection)
            if log is None:
                return None
            events = connection.scalar(select(TrailHead.size)) or 0
            checkpoints, others = _checkpoints(connection, log.log_id)
            findings = [*column_findings(connection), *trigger_findings(connection)]
            # A log that was begun anew takes the openings of leaves that it has not come to from the one before.
            findings += _out_of_range(connection, events, max(log.size, min(log.declared, events)))
            findings += _same_ids(connection)
            return Head(
                origin=log.origin,
                log_id=log.log_id,
                events=events,
                size=log.size,
                root=log.root,
                floor=log.floor,
                declared=log.declared,
                checkpoints=checkpoints,
                others=others,
                cosignatures=_cosignatures(connection, log.log_id),
                findings=findings,
            )

    def block(self, first: int, last: int) -> Block:
        """Return the events with ``seq`` from *first* to *last*, both included."""
        with self._engine.begin() as connection:
            return Block(
                read_rows(connection, first, last),
                _leaves(connection, first, last),
                _erasures(connection, first, last),
            )

    def tile(self, level: int, number: int) -> bytes | None:
        """Return the stored tile of a *level* from 1 on; None if there is none."""
        query = select(TrailTile.hashes).where(TrailTile.level == level, TrailTile.n == number)
        with self._engine.begin() as connection:
            tile = connection.scalar(query)
        return None if tile is None else _bytes(tile)

    def count(self, last: int) -> int:
        """Return how many rows have a ``seq`` from 1 to *last*, whatever its index has."""
        rows = "{} NOT INDEXED WHERE seq BETWEEN 1 AND :last"
        if is_postgresql(self._engine):
            rows = "{} WHERE seq + 0 BETWEEN 1 AND :last AND ctid IS NOT NULL"  # no index is of that, or has a ctid
        counts = " + ".join(f"(SELECT count(*) FROM {rows.format(kind.table)})" for kind in KINDS)  # noqa: S608
        with self._engine.begin() as connection:
            return connection.scalar(text(f"SELECT {counts}"), {"last": last}) or 0


@contextmanager
def _any_text(connection: Connection) -> Iterator[None]:
    """Read texts in SQLite that are no UTF-8, with another character for what is none: it was not signed like that."""
    if is_postgresql(connection):
        yield
        return
    driver: Any = connection.connection.driver_connection
    driver.text_factory = lambda data: data.decode(errors="replace")
    try:
        yield
    finally:
        driver.text_factory = str


def _leaves(connection: Connection, first: int, last: int) -> Mapping[int, Leaf]:
    query = "SELECT seq, hash, opening FROM trail_leaves WHERE seq BETWEEN ? AND ?"
    return {
        seq: Leaf(hash_, opening)
        if type(hash_) is bytes and type(opening) is bytes
        else Leaf(_bytes(hash_), None if opening is None else _bytes(opening))
        for seq, hash_, opening in fetch_rows(connection, query, (first, last))
    }


def _erasures(connection: Connection, first: int, last: int) -> Mapping[int, list[Erasure]]:
    query = "SELECT seq, field_group, commitment, by_seq FROM trail_erasures WHERE seq BETWEEN ? AND ?"
    found: dict[int, list[Erasure]] = {}
    for seq, group, stated, by_seq in fetch_rows(connection, query, (first, last)):
        erasure = Erasure(str(group), _bytes(stated), by_seq if type(by_seq) is int else 0)
        found.setdefault(seq, []).append(erasure)
    return found


def _bytes(value: object) -> bytes:
    """Return what is stored; nothing if SQLite has stored something else there."""
    return value if isinstance(value, bytes) else b""


def _checkpoints(connection: Connection, log_id: str) -> tuple[list[tuple[int, bytes]], int]:
    """Return the checkpoints of the log, the smallest first, and how many there are of others."""
    columns = TrailCheckpoint.log_id, TrailCheckpoint.size, TrailCheckpoint.note
    rows = connection.execute(select(*columns).order_by(TrailCheckpoint.size)).all()
    own = [(row.size, row.note.encode()) for row in rows if row.log_id == log_id]
    return own, len(rows) - len(own)


def _cosignatures(connection: Connection, log_id: str) -> dict[int, list[str]]:
    query = select(TrailConfirmation.size, TrailConfirmation.line)
    query = query.where(TrailConfirmation.log_id == log_id, IS_COSIGNATURE)
    found: dict[int, list[str]] = {}
    for size, line in connection.execute(query):
        found.setdefault(size, []).append(line or "")
    return found


def _out_of_range(connection: Connection, events: int, size: int) -> Iterator[Finding]:
    """Yield what lies before the first event, or beyond the last one."""
    ends = {kind.table: events for kind in KINDS} | {TrailLeaf.__tablename__: size, TrailErasure.__tablename__: size}
    for table, end in ends.items():
        query = text(
            f"SELECT DISTINCT seq FROM {table} WHERE seq < 1 OR seq > :end OR seq IS NULL ORDER BY seq LIMIT :most"  # noqa: S608
        )
        for (seq,) in connection.execute(query, {"end": end, "most": _MOST_NAMED}):
            yield Finding(
                Code.OUT_OF_RANGE,
                f"{table} has a row with the seq {seq!r}, and the last one is {end}",
                seq=seq if type(seq) is int else None,
                table=table,
            )


def _same_ids(connection: Connection) -> Iterator[Finding]:
    """Yield events of two kinds with one id."""
    small, middle, large = "admin_events", "error_events", "login_events"
    for one, other in ((small, middle), (small, large), (middle, large)):
        query: Any = text(
            f"SELECT a.seq, b.seq FROM {one} AS a JOIN {other} AS b ON a.id = b.id ORDER BY 1 LIMIT :most"  # noqa: S608
        )
        for seq, other_seq in connection.execute(query, {"most": _MOST_NAMED}):
            words = f"the event {seq} of {one} has the id of the event {other_seq} of {other}"
            yield Finding(Code.DUPLICATE_ID, words, seq=seq, table=one)
