"""Leaves of events that have none yet: made by the signer, or ahead of it by other processes if there are many."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from audit_service.errors import SignerStopped
from audit_service.proofs.entry import missing_entry
from audit_service.proofs.merkle import leaf_hash
from audit_service.proving.leaves import entry_of, make_openings, read_erasures, read_leaves, without_erased
from audit_service.proving.rows import Event, Malformed, Row, read_rows
from audit_service.proving.workers import JOBS, worker_processes
from audit_service.signing.database import Database
from audit_service.storage.outages import DATABASE_ERRORS

STEP = 1000  # events that are in memory at once: a traceback may have 64 KiB
MANY = 20  # chunks from which on other processes make the leaves: to start them takes as long as some chunks
RESTART = "'audit-service trail restart --reason TEXT' begins a new log with what is there, and says so in the trail"

NewLeaf = tuple[int, bytes, bytes | None]  # seq, hash, openings


class Chunk(NamedTuple):
    """Events that become leaves together.

    Up to ``declared`` they need not be there; up to ``stored`` they may have been leaves of the log before.
    """

    first: int
    last: int
    declared: int
    stored: int


Made = Callable[[Chunk], list[NewLeaf] | None]  # returns the leaves of a chunk, None if they are not made yet


def nothing_made(_chunk: Chunk) -> None:
    """Tell that the leaves of no chunk are made yet."""


@contextmanager
def made_ahead(url: URL, chunks: Sequence[Chunk]) -> Iterator[Made]:
    """Yield what has the leaves of *chunks*, which it is asked for in their order.

    Of many they are made by other processes meanwhile. An event that is no leaf yet is never changed, so it does not
    matter when it is read. What these processes cannot make is not made.
    """
    if len(chunks) < MANY or JOBS == 1:
        yield nothing_made
        return
    with worker_processes(JOBS, partial(Database, url)) as run:
        made = zip(chunks, run(_try, iter(chunks)), strict=False)  # it ends early if a process is killed

        def take(chunk: Chunk) -> list[NewLeaf] | None:
            try:
                asked, leaves = next(made, (None, None))
            except BrokenProcessPool:
                return None
            return leaves if asked == chunk else None

        yield take


def _try(database: Database, chunk: Chunk) -> list[NewLeaf] | None:
    try:
        with database.read() as connection:
            return make_leaves(connection, chunk)
    except (SignerStopped, *DATABASE_ERRORS):
        return None  # the signer meets the same, and tells of it


def make_leaves(connection: Connection, chunk: Chunk) -> list[NewLeaf]:
    """Return the leaves of a *chunk*, in the order of ``seq``.

    Raises ``SignerStopped`` for an event that is missing or has no canonical form, and what SQLAlchemy raises.
    """
    leaves: list[NewLeaf] = []
    for first in range(chunk.first, chunk.last + 1, STEP):
        leaves += _leaves(connection, chunk, first, min(chunk.last, first + STEP - 1))
    return leaves


def _leaves(connection: Connection, chunk: Chunk, first: int, last: int) -> list[NewLeaf]:
    rows = read_rows(connection, first, last)
    erasures = read_erasures(connection, first, last)
    stored = read_leaves(connection, first, last) if first <= chunk.stored else {}
    leaves: list[NewLeaf] = []
    openings = iter(make_openings(last - first + 1))
    place = 0
    for seq in range(first, last + 1):
        here = []
        while place < len(rows) and rows[place].seq == seq:
            here.append(rows[place])
            place += 1
        event = here[0] if len(here) == 1 and isinstance(here[0], Event) else None
        if event is None:
            if seq > chunk.declared:
                raise _no_event(seq, here)
            leaves.append((seq, leaf_hash(missing_entry(seq)), None))
            continue
        erased = erasures.get(seq)
        opening = next(openings)
        if (known := stored.get(seq)) and known.opening:  # the leaf stays what it was in the log before
            opening = known.opening
        entry = entry_of(event, opening, erased)
        leaves.append((seq, leaf_hash(entry), without_erased(opening, erased) if erased else opening))
    return leaves


def _no_event(seq: int, here: list[Row]) -> SignerStopped:
    if len(here) > 1:
        return SignerStopped("duplicate", f"{len(here)} events have the seq {seq}. {RESTART}")
    if here and isinstance(here[0], Malformed):
        return SignerStopped("bad_form", f"{here[0].words}. {RESTART}")
    return SignerStopped("gap", f"the event {seq} is missing. {RESTART}")
