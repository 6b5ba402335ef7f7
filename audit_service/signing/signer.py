"""Rounds of the signer: new events become leaves, and the tree over them is signed.

The order makes every crash harmless: the leaves are committed, then the checkpoint is signed and remembered in the
head file, then it is stored. Whatever of it was done last, the next start finds the head file equal to the tree or
behind it.
"""

import logging
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from audit_service.errors import NotConfiguredError, ProofError, SignerStopped
from audit_service.proofs.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from audit_service.proofs.keys import SignerKey
from audit_service.proofs.merkle import EMPTY_ROOT
from audit_service.proving.log import NO_LOG, Log, StoredCheckpoint, note_problem, read_checkpoint, read_log
from audit_service.proving.tiles import Edge, StoredTree, store_tiles
from audit_service.signing.database import Database
from audit_service.signing.head_file import HeadFile, other_heads
from audit_service.signing.key_file import read_keys, write_keys
from audit_service.signing.leaf_making import RESTART, Chunk, Made, NewLeaf, make_leaves, nothing_made
from audit_service.storage.dialects import is_postgresql
from audit_service.storage.log_models import TrailCheckpoint, TrailLeaf, TrailLog
from audit_service.storage.models import AdminEvent, TrailHead
from audit_service.vocabulary import AdminAction

logger = logging.getLogger("audit_service.signer")

WITNESS_PROBLEMS = ("witness_rollback", "witness_fork")
CHUNK = 10_000  # events that become leaves in one transaction


class LogChanged(Exception):  # noqa: N818 - another signer's work is no error
    """Another signer has worked on the log meanwhile: open the signer again."""


class Signer:
    """The signer of one log. Open it again after any error. For one thread."""

    def __init__(self, database: Database, folder: Path, key_file: Path, *, trusts_database: bool = False) -> None:
        """Compare log, tree and head file.

        *folder* is the data folder. A missing head file stops it, unless it *trusts_database*. Raises ``SignerStopped``
        if they contradict each other, ``NotConfiguredError`` without a log, ``SettingsError`` without a key, and what
        SQLAlchemy raises.
        """
        self._database, self._key_file = database, key_file
        with database.read() as connection:
            self.log = _log_of(connection, folder)
            self._keys = _keys_of(self.log, key_file)
            self._head_file = HeadFile(folder, self.log.log_id)
            _check_id(self.log)
            _check_witnesses(self.log, trusts_database=trusts_database)
            newest = read_checkpoint(connection, self.log.log_id)
            head = self._remembered(newest, trusts_database=trusts_database)
            self._edge = _edge_of(connection, self.log, head, newest)
        # The last one that it stands for.
        self.checkpoint = newest if newest and newest.size == head.size else None

    def go_on(self) -> None:
        """Take back that the signer has stopped, if that is what the database says."""
        if self.log.problem:
            with self._database.write() as connection:
                note_problem(connection, self.log.log_id, None, None)
            self.log = self.log._replace(problem=None)

    @property
    def size(self) -> int:
        """How many events are leaves of the tree."""
        return self._edge.size

    @property
    def signed(self) -> int | None:
        """How many events are in the last checkpoint; None before the first one."""
        return self.checkpoint.size if self.checkpoint else None

    def chunks(self) -> list[Chunk]:
        """Return the whole chunks of the events that are not leaves yet."""
        with self._database.read() as connection:
            log = self._unchanged(connection)
            events = connection.scalar(select(TrailHead.size)) or 0
            declared = _declared(connection, log)
            sizes = range(self.size, events - CHUNK + 1, CHUNK)
            return [
                Chunk(size + 1, size + CHUNK, declared if size < log.declared else 0, log.declared) for size in sizes
            ]

    def take_in(self, made: Made = nothing_made) -> int:
        """Make leaves of up to ``CHUNK`` events, or take those that are *made*; return how many events still have none.

        Raises ``SignerStopped`` for an event that is missing or has no canonical form, ``LogChanged`` if another signer
        works on the log, and what SQLAlchemy raises.
        """
        with self._database.read() as connection:
            log = self._unchanged(connection)
            events = connection.scalar(select(TrailHead.size)) or 0
            if events < self.size:
                raise _rollback(f"the trail has {events} events, and the log {self.size}")
            last = min(events, self.size + CHUNK)
            if last == self.size:
                return 0
            chunk = Chunk(self.size + 1, last, _declared(connection, log), log.declared)
            leaves = made(chunk) or make_leaves(connection, chunk)
        size = self.size
        self._edge.append(hash_ for _, hash_, _ in leaves)
        with self._database.write() as connection:
            root = self._edge.root()
            own = (TrailLog.log_id == log.log_id, TrailLog.size == size, TrailLog.root == log.root)
            if connection.execute(update(TrailLog).where(*own).values(size=self.size, root=root)).rowcount != 1:
                raise LogChanged
            if size < log.declared:  # a log that was restarted
                connection.execute(delete(TrailLeaf).where(TrailLeaf.seq.between(size + 1, last)))
            _store_leaves(connection, leaves)
            store_tiles(connection, self._edge.grown)
        self._edge.grown.clear()
        self.log = log._replace(size=self.size, root=root)
        return events - last

    def _unchanged(self, connection: Connection) -> Log:
        log = read_log(connection)
        known = self.log.log_id, self.log.size, self.log.root
        if log is None or (log.log_id, log.size, log.root) != known:
            raise LogChanged
        return log

    def sign(self) -> StoredCheckpoint | None:
        """Sign the tree as it is, and return the checkpoint; None if it is signed already.

        Raises ``OSError`` if the head file cannot be written, and what SQLAlchemy raises.
        """
        if self.signed == self.size:
            return None
        self._keys = _keys_of(self.log, self._key_file)
        checkpoint = Checkpoint(self.log.origin, self.log.size, self.log.root)
        note = sign_checkpoint(checkpoint, *self._keys)
        self._head_file.write(note)
        stored = StoredCheckpoint(checkpoint.size, datetime.now(UTC), note)
        with suppress(IntegrityError), self._database.write() as connection:  # stored already, before a crash
            row = {"log_id": self.log.log_id, "size": stored.size, "signed_at": stored.signed_at, "note": note.decode()}
            connection.execute(insert(TrailCheckpoint).values(**row))
        self.checkpoint = stored
        if len(self._keys) > 1:  # the old one has signed the change, and is not needed any more
            self._keys = self._keys[:1]
            write_keys(self._key_file, self._keys)
        ids = ",".join(f"{key.verifier.key_id:08x}" for key in self._keys)
        text = "trail checkpoint origin=%s size=%d root=%s key=%s"
        logger.info(text, checkpoint.origin, checkpoint.size, checkpoint.root.hex(), ids)
        return stored

    def _remembered(self, newest: StoredCheckpoint | None, *, trusts_database: bool) -> Checkpoint:
        """Return the last checkpoint that this machine has signed."""
        note = self._head_file.read()
        if note is None:
            if newest is None:
                return Checkpoint(self.log.origin, 0, EMPTY_ROOT)
            if not trusts_database:
                raise SignerStopped(
                    "head_missing",
                    f"there is no {str(self._head_file.path)!r}, which says what was signed last: put it back. "
                    "If it is lost, 'audit-service sign --once --trust-database' takes what the database says",
                )
            note = newest.note
        try:
            return open_checkpoint(note, self.log.origin, [key.verifier for key in self._keys])
        except ProofError as error:
            raise SignerStopped(
                "foreign_key",
                f"the key in {str(self._key_file)!r} is not the one that has signed {str(self._head_file.path)!r} "
                f"({error}): put the right one back. {RESTART}",
            ) from None


def _log_of(connection: Connection, folder: Path) -> Log:
    if log := read_log(connection):
        return log
    if heads := other_heads(folder):
        raise _rollback(f"the database has no log, but {str(heads[-1])!r} remembers one")
    raise NotConfiguredError(NO_LOG)


def _check_id(log: Log) -> None:
    """Raise ``SignerStopped`` unless the log's id is the one that was signed: the head file is found by it."""
    if log.log_id != log.origin.rpartition("/")[2]:
        raise SignerStopped("foreign_log", f"the log {log.origin} is said to have the id {log.log_id!r}. {RESTART}")


def _keys_of(log: Log, key_file: Path) -> list[SignerKey]:
    keys = read_keys(key_file)
    for key in keys:
        if key.name != log.origin:
            raise SignerStopped(
                "foreign_key",
                f"the key in {str(key_file)!r} is that of {key.name}, and the log is {log.origin}: put the right one "
                f"back. {RESTART}",
            )
    return keys


def _check_witnesses(log: Log, *, trusts_database: bool) -> None:
    """Stay stopped if a witness knows another history: nothing here can show that it does not any more."""
    if log.problem in WITNESS_PROBLEMS and not trusts_database:
        raise SignerStopped(log.problem, str(log.problem_detail))


def _edge_of(connection: Connection, log: Log, head: Checkpoint, newest: StoredCheckpoint | None) -> Edge:
    """Return the right edge of the stored tree, which has to go on from what was signed."""
    events = connection.scalar(select(TrailHead.size)) or 0
    signed = max(head.size, newest.size if newest else 0)
    if log.size < signed:
        raise _rollback(f"the tree has {log.size} leaves, and {signed} were signed")
    if events < log.size:
        raise _rollback(f"the trail has {events} events, and the tree {log.size}")
    tree = StoredTree(connection)
    try:
        edge = tree.edge(log.size)
        root = tree.root(head.size)
    except ProofError as error:
        raise SignerStopped("tree_changed", f"{error}. {RESTART}") from None
    if root != head.root:
        raise SignerStopped(
            "fork", f"the tree of {head.size} has the root {root.hex()}, and {head.root.hex()} was signed. {RESTART}"
        )
    if edge.root() != log.root:
        raise SignerStopped("tree_changed", f"the stored tree of {log.size} has another root than the log. {RESTART}")
    return edge


def _rollback(detail: str) -> SignerStopped:
    remedy = "If an old backup was restored, restore a newer one"
    return SignerStopped("rollback", f"{detail}. {remedy}; else {RESTART}")


def _declared(connection: Connection, log: Log) -> int:
    """Return up to where events may be missing: the log says so, and an event from when it was begun anew.

    It is 0 for a log that is beyond.
    """
    if log.size >= log.declared:
        return 0
    query = select(func.max(AdminEvent.seq)).where(AdminEvent.action == AdminAction.LOG_RESTARTED)
    restarted = connection.scalar(query.where(AdminEvent.target == log.origin)) or 1
    return min(log.declared, restarted - 1)


def _store_leaves(connection: Connection, leaves: list[NewLeaf]) -> None:
    if not is_postgresql(connection):
        connection.exec_driver_sql("INSERT INTO trail_leaves (seq, hash, opening) VALUES (?, ?, ?)", leaves)
        return
    # One statement takes all of them; a missing event has no opening, and its place is filled with zeros.
    parameters: dict[str, Any] = {
        "first": leaves[0][0],
        "count": len(leaves),
        "hashes": b"".join(hash_ for _, hash_, _ in leaves),
        "openings": b"".join(opening or bytes(32) for _, _, opening in leaves),
        "missing": [seq for seq, _, opening in leaves if opening is None],
    }
    connection.exec_driver_sql(
        """
        INSERT INTO trail_leaves (seq, hash, opening)
        SELECT %(first)s + n, substr(%(hashes)s::bytea, n * 32 + 1, 32),
            CASE WHEN %(first)s + n = ANY(%(missing)s::bigint[]) THEN NULL
            ELSE substr(%(openings)s::bytea, n * 32 + 1, 32) END
        FROM generate_series(0, %(count)s - 1) AS n
        """,
        parameters,
    )
