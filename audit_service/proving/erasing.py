"""Fields are erased from events, and the log stays provable: their commitments stay, and nobody can open them.

Each transaction has an admin event of its own, which says from how many events and from which, and not whose they were.
"""

import hashlib
from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from audit_service.errors import AuditError, ProofError
from audit_service.events.admin import Actor
from audit_service.events.base import Kind
from audit_service.proofs.entry import FORMS, OPENING_SIZE, Group, commitment
from audit_service.proofs.merkle import leaf_hash
from audit_service.proving.leaves import StoredLeaf, entry_of, read_erasures_of, read_leaves_of, without_erased
from audit_service.proving.log import lock_log
from audit_service.proving.rows import Event, Malformed, read_rows_of
from audit_service.storage.append_only import may_update
from audit_service.storage.log_models import TrailErasure, TrailLeaf
from audit_service.storage.models import AdminEvent, table_of
from audit_service.trail.append import append_within
from audit_service.vocabulary import AdminAction

CHUNK = 1000  # events in one transaction: so long nobody else writes
# Who did these, and their details, stay: the log is verified with them.
LASTING = (
    AdminAction.PERSONAL_DATA_ERASED,
    AdminAction.LOG_STARTED,
    AdminAction.LOG_RESTARTED,
    AdminAction.SIGNING_KEY_ROTATED,
    AdminAction.LOG_HEAD_TRUSTED,
)


class Erasing(NamedTuple):
    """What is erased, who does it, and why."""

    groups: Collection[Group]
    by: Actor
    reason: str


class _Erasure(NamedTuple):
    seq: int
    opening: bytes
    commitments: dict[Group, bytes]


def erase_within(connection: Connection, kind: Kind, seqs: Sequence[int], task: Erasing) -> int:
    """Erase groups of fields from the events *seqs* of one *kind*, within the transaction of the caller, who commits.

    What is empty, erased already, or has to last (see ``LASTING``) is passed over. Returns from how many events
    something was erased. Raises ``ProofError`` for an event that is not the one that its leaf tells of, ``AuditError``
    for one that has no leaf yet, and what SQLAlchemy raises; then the transaction has to be rolled back.
    """
    if max(seqs) > lock_log(connection):  # alone: both groups of an event have their openings in one value
        raise AuditError(f"the event {max(seqs)} is not signed yet")
    erasures = _checked(connection, kind, seqs, task.groups)
    if not erasures:
        return 0
    with may_update(connection, kind.table):
        by_seq = _tell(connection, erasures, task)
        rows = [
            {"seq": each.seq, "field_group": group.value, "commitment": committed, "by_seq": by_seq}
            for each in erasures
            for group, committed in each.commitments.items()
        ]
        connection.execute(insert(TrailErasure), rows)
        opening = update(TrailLeaf).where(TrailLeaf.seq == bindparam("leaf")).values(opening=bindparam("left"))
        connection.execute(opening, [{"leaf": each.seq, "left": each.opening} for each in erasures])
        _clear(connection, kind, erasures)
    return len(erasures)


def digest_of(seqs: Collection[int]) -> str:
    """Return hex SHA-256 of the ``seq`` of events in order, each a line: by it an admin event says which they are."""
    return hashlib.sha256(b"".join(b"%d\n" % seq for seq in sorted(seqs))).hexdigest()


def _tell(connection: Connection, erasures: Sequence[_Erasure], task: Erasing) -> int:
    """Append the admin event, and return its ``seq``."""
    details = {
        "groups": [group.value for group in Group if group in task.groups],
        "rows": len(erasures),
        "digest": digest_of([each.seq for each in erasures]),
        "reason": task.reason,
    }
    event = task.by.did(AdminAction.PERSONAL_DATA_ERASED, None, details)
    append_within(connection, [event])
    return connection.execute(select(AdminEvent.seq).where(AdminEvent.id == event.id)).scalar_one()


def _clear(connection: Connection, kind: Kind, erasures: Sequence[_Erasure]) -> None:
    table, form = table_of(kind), FORMS[kind.name]
    seqs_of: dict[tuple[Group, ...], list[int]] = {}
    for each in erasures:
        seqs_of.setdefault(tuple(each.commitments), []).append(each.seq)
    for groups, seqs in seqs_of.items():
        empty = dict.fromkeys(name for group in groups for name in form.fields(group))
        connection.execute(update(table).where(table.c.seq.in_(seqs)).values(empty))


def _checked(connection: Connection, kind: Kind, seqs: Sequence[int], groups: Collection[Group]) -> list[_Erasure]:
    """Return what is to be erased, of events each of which was compared with its leaf."""
    rows = {row.seq: row for row in read_rows_of(connection, kind, seqs)}
    leaves, erased = read_leaves_of(connection, seqs), read_erasures_of(connection, seqs)
    found = [_erasure(kind, seq, rows.get(seq), leaves.get(seq), erased.get(seq, {}), groups) for seq in sorted(seqs)]
    return [each for each in found if each.commitments]


def _erasure(  # noqa: PLR0917 - all that is known of one event
    kind: Kind,
    seq: int,
    event: Event | Malformed | None,
    leaf: StoredLeaf | None,
    erased: dict[Group, bytes],
    groups: Collection[Group],
) -> _Erasure:
    if not isinstance(event, Event) or leaf is None or leaf.opening is None:
        raise _changed(kind, seq)
    is_empty = dict(zip(Group, event.is_empty, strict=True))
    is_filled_again = any(not is_empty[group] for group in erased)
    if is_filled_again or leaf_hash(entry_of(event, leaf.opening, erased)) != leaf.hash:
        raise _changed(kind, seq)
    lasts = kind.name == "admin" and event.action in LASTING
    openings = {Group.WHO: leaf.opening[:OPENING_SIZE], Group.WHERE: leaf.opening[OPENING_SIZE:]}
    texts = {Group.WHO: event.who, Group.WHERE: event.where}
    commitments = {
        group: commitment(group, texts[group], openings[group])
        for group in Group
        if group in groups and not is_empty[group] and not (lasts and group is Group.WHO)
    }
    return _Erasure(seq, without_erased(leaf.opening, commitments), commitments)


def _changed(kind: Kind, seq: int) -> ProofError:
    return ProofError(
        f"the {kind.name} event {seq} is not the one that its leaf in the log tells of: somebody has changed it. "
        "Nothing is erased from it, so that the change can be proven: verify the history first"
    )
