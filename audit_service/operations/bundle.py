"""The history as a bundle: one archive with all that is needed to verify it, and the words for a stranger to do so."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from audit_service.errors import AuditError
from audit_service.operations.archive import Archive
from audit_service.proofs.bundle_format import (
    CHECKPOINT,
    CHECKPOINTS,
    ERASURES,
    EVENTS,
    FORMAT,
    MANIFEST,
    README,
    STAMPS,
    TILES,
)
from audit_service.proofs.entry import FORMS
from audit_service.proofs.tile_path import tiles_of
from audit_service.proving.confirmations import IS_STAMP
from audit_service.proving.disclosures import Disclosure, cosigned, read_disclosures
from audit_service.proving.log import Log, StoredCheckpoint, read_checkpoint, read_log
from audit_service.proving.tiles import StoredTree
from audit_service.storage.log_models import TrailCheckpoint, TrailConfirmation, TrailErasure

CHUNK = 4096  # events
_Write = Callable[[bytes], None]
_encoder = msgspec.json.Encoder()


class Span(msgspec.Struct, frozen=True):
    """The events of a bundle, from one ``seq`` to another, both included, and those that the log has."""

    first: int
    last: int
    log: Log
    checkpoint: StoredCheckpoint

    @property
    def is_part(self) -> bool:
        """Whether the log has others, which is why each event has a proof of its own."""
        return (self.first, self.last) != (self.log.floor + 1, self.checkpoint.size)


def find_span(connection: Connection, first: int | None, last: int | None) -> Span:
    """Return what a bundle of the events from *first* to *last* has; None is where the log begins or ends.

    Raises ``AuditError`` for events that are not signed, or are not there any more.
    """
    log = read_log(connection)
    checkpoint = log and read_checkpoint(connection, log.log_id)
    if log is None or checkpoint is None:
        raise AuditError("there is no checkpoint yet: 'audit-service sign --once' makes one")
    first, last = first or log.floor + 1, last or checkpoint.size
    if first <= log.floor:
        raise AuditError(f"events up to {log.floor} were removed: begin with --from {log.floor + 1}")
    if last > checkpoint.size:
        raise AuditError(f"events are signed up to {checkpoint.size} only")
    if first > last:
        raise AuditError("there is no event from the one to the other: --from must be no larger than --to")
    return Span(first, last, log, checkpoint)


def write_bundle(connection: Connection, span: Span, archive: Archive) -> Generator[int, None, int]:
    """Write a bundle in constant memory, yielding how many events were written since the last time.

    Returns how many of them could not be written, because their rows are not there, or not such that they can have been
    signed: these are for a verifier to find. Raises what SQLAlchemy raises, and ``ProofError`` if the stored tree is
    not whole.
    """
    now = datetime.now(UTC)
    archive.add(README, files("audit_service.operations").joinpath("bundle.txt").read_bytes())
    archive.add(MANIFEST, msgspec.json.format(_encoder.encode(_manifest(span, now)), indent=2) + b"\n")
    archive.add(CHECKPOINT, cosigned(connection, span.log.log_id, span.checkpoint))
    if not span.is_part:
        _add_checkpoints(connection, archive)
        _add_stamps(connection, archive)
        _add_tiles(connection, span.checkpoint.size, archive)
    with archive.growing(ERASURES) as write:
        _write_erasures(connection, span, write)
    skipped = 0
    with archive.growing(EVENTS) as write:
        for first in range(span.first, span.last + 1, CHUNK):
            last = min(span.last, first + CHUNK - 1)
            given = read_disclosures(connection, first, last)
            proofs = _proofs(connection, given, span.checkpoint.size) if span.is_part else [None] * len(given)
            write(_encoder.encode_lines([_line(*each) for each in zip(given, proofs, strict=True)]))
            skipped += last - first + 1 - len(given)
            yield last - first + 1
    archive.close()
    return skipped


def _manifest(span: Span, now: datetime) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "origin": span.log.origin,
        "size": span.checkpoint.size,
        "from": span.first,
        "to": span.last,
        "floor": span.log.floor,
        "claims_completeness": not span.is_part,
        "created_at": now.isoformat(timespec="seconds"),
        "fields": {kind: {"entry": form.plain, "who": form.who, "where": form.where} for kind, form in FORMS.items()},
    }


def _add_checkpoints(connection: Connection, archive: Archive) -> None:
    query = select(TrailCheckpoint.log_id, TrailCheckpoint.size, TrailCheckpoint.signed_at, TrailCheckpoint.note)
    query = query.order_by(TrailCheckpoint.log_id, TrailCheckpoint.size).limit(CHUNK)
    after = ("", -1)
    while rows := connection.execute(query.where(_is_after(after))).all():
        for row in rows:
            checkpoint = StoredCheckpoint(row.size, row.signed_at, row.note.encode())
            note = cosigned(connection, row.log_id, checkpoint)
            archive.add(f"{CHECKPOINTS}{row.log_id}/{row.size}", note)
        after = (rows[-1].log_id, rows[-1].size)


def _is_after(place: tuple[str, int]) -> Any:
    log_id, size = place
    return (TrailCheckpoint.log_id > log_id) | ((TrailCheckpoint.log_id == log_id) & (TrailCheckpoint.size > size))


def _add_stamps(connection: Connection, archive: Archive) -> None:
    """Add the time stamps; of one checkpoint the oldest, which proves the most."""
    place = TrailConfirmation.log_id, TrailConfirmation.size
    query = select(*place, TrailConfirmation.line).where(IS_STAMP).order_by(*place, TrailConfirmation.confirmed_at)
    added = None
    for log_id, size, line in connection.execute(query.execution_options(yield_per=CHUNK)):
        if (log_id, size) != added:
            archive.add(f"{STAMPS}{log_id}/{size}.tsr", b64decode(line or ""))
        added = (log_id, size)


def _add_tiles(connection: Connection, size: int, archive: Archive) -> None:
    tiles = list(tiles_of(size))
    for place in range(len(tiles) - 1, -1, -1):  # the upper ones first: they are few
        archive.add(TILES + tiles[place].path(), StoredTree(connection).tile(tiles[place]))


def _write_erasures(connection: Connection, span: Span, write: _Write) -> None:
    columns = (TrailErasure.seq, TrailErasure.field_group, TrailErasure.commitment, TrailErasure.by_seq)
    query = select(*columns).where(TrailErasure.seq.between(span.first, span.last))
    query = query.order_by(TrailErasure.seq, TrailErasure.field_group)
    for rows in connection.execute(query.execution_options(yield_per=CHUNK)).partitions():
        lines = [
            {"by_seq": row.by_seq, "commitment": row.commitment.hex(), "group": row.field_group, "seq": row.seq}
            for row in rows
        ]
        write(_encoder.encode_lines(lines))


def _proofs(connection: Connection, given: list[Disclosure], size: int) -> list[list[str]]:
    tree = StoredTree(connection)
    proofs = (tree.inclusion_proof(each.seq - 1, size) for each in given)
    return [[b64encode(hash_).decode() for hash_ in hashes] for hashes in proofs]


def _line(given: Disclosure, proof: list[str] | None) -> dict[str, Any]:
    line = {
        "entry": msgspec.Raw(given.entry),
        "openings": given.openings,
        "where": None if given.where is None else msgspec.Raw(given.where),
        "who": None if given.who is None else msgspec.Raw(given.who),
    }
    return line if proof is None else {**line, "proof": proof}
