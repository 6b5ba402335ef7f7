"""Leaves of the tree: an event with its openings, one that was erased, and one that is declared missing."""

import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, select

from audit_service.proofs.entry import OPENING_SIZE, Group, commitment, join_entry
from audit_service.proving.rows import Event
from audit_service.storage.driver_rows import fetch_rows
from audit_service.storage.log_models import TrailErasure, TrailLeaf

OPENINGS_SIZE = 2 * OPENING_SIZE  # bytes: who's opening, then where's
ERASED = bytes(OPENING_SIZE)  # in the place of an opening


class StoredLeaf(NamedTuple):
    """What the signer has stored for an event."""

    hash: bytes
    opening: bytes | None


def make_openings(count: int) -> list[bytes]:
    """Return openings for so many events. None of their halves is what stands for an erased one."""
    data = os.urandom(OPENINGS_SIZE * count)
    openings = [data[place : place + OPENINGS_SIZE] for place in range(0, len(data), OPENINGS_SIZE)]
    halves = ((each[:OPENING_SIZE], each[OPENING_SIZE:]) for each in openings)
    return [each if ERASED not in pair else make_openings(1)[0] for each, pair in zip(openings, halves, strict=True)]


def entry_of(event: Event, openings: bytes, erased: Mapping[Group, bytes] | None = None) -> bytes:
    """Return the entry of *event*: its groups by their openings, those that were *erased* by their commitments."""
    who = (erased and erased.get(Group.WHO)) or commitment(Group.WHO, event.who, openings[:OPENING_SIZE])
    where = (erased and erased.get(Group.WHERE)) or commitment(Group.WHERE, event.where, openings[OPENING_SIZE:])
    return join_entry(event.plain, who, where)


def without_erased(openings: bytes, erased: Mapping[Group, bytes]) -> bytes:
    """Return *openings* with zeros in the places of the groups that were *erased*."""
    who, where = openings[:OPENING_SIZE], openings[OPENING_SIZE:]
    return (ERASED if Group.WHO in erased else who) + (ERASED if Group.WHERE in erased else where)


_LEAF = (
    select(TrailLeaf.hash, TrailLeaf.opening, TrailErasure.field_group, TrailErasure.commitment)
    .outerjoin(TrailErasure, TrailErasure.seq == TrailLeaf.seq)
    .where(TrailLeaf.seq == bindparam("seq"))
)


def read_leaf(connection: Connection, seq: int) -> tuple[StoredLeaf | None, dict[Group, bytes]]:
    """Return the stored leaf of an event, None if there is none, and the commitments of what was erased from it."""
    rows = connection.execute(_LEAF, {"seq": seq}).all()
    leaf = StoredLeaf(rows[0].hash, rows[0].opening) if rows else None
    return leaf, {Group(row.field_group): row.commitment for row in rows if row.field_group is not None}


def read_leaves(connection: Connection, first: int, last: int) -> dict[int, StoredLeaf]:
    """Return the stored leaves of events from *first* to *last*, both included, by ``seq``."""
    query = "SELECT seq, hash, opening FROM trail_leaves WHERE seq BETWEEN ? AND ?"
    return {seq: StoredLeaf(hash_, opening) for seq, hash_, opening in fetch_rows(connection, query, (first, last))}


def read_leaves_of(connection: Connection, seqs: Sequence[int]) -> dict[int, StoredLeaf]:
    """Return the stored leaves of the events *seqs*, by ``seq``."""
    query = select(TrailLeaf.seq, TrailLeaf.hash, TrailLeaf.opening).where(TrailLeaf.seq.in_(seqs))
    return {row.seq: StoredLeaf(row.hash, row.opening) for row in connection.execute(query)}


def read_erasures(connection: Connection, first: int, last: int) -> dict[int, dict[Group, bytes]]:
    """Return the commitments of what was erased from events from *first* to *last*, both included, by ``seq``."""
    return _erasures(connection, TrailErasure.seq.between(first, last))


def read_erasures_of(connection: Connection, seqs: Sequence[int]) -> dict[int, dict[Group, bytes]]:
    """Return the commitments of what was erased from the events *seqs*, by ``seq``."""
    return _erasures(connection, TrailErasure.seq.in_(seqs))


def _erasures(connection: Connection, which: ColumnElement[bool]) -> dict[int, dict[Group, bytes]]:
    query = select(TrailErasure.seq, TrailErasure.field_group, TrailErasure.commitment).where(which)
    found: dict[int, dict[Group, bytes]] = {}
    for row in connection.execute(query):
        found.setdefault(row.seq, {})[Group(row.field_group)] = row.commitment
    return found
