"""What a verifier finds: a code, where, and a sentence for people."""

from enum import StrEnum

import msgspec

from audit_service.events.kinds import KIND_NAMED
from audit_service.proving.rows import Malformed, Row


class Weight(StrEnum):
    """What a finding means for the whole."""

    TAMPERED = "tampered"
    UNPROVEN = "unproven"
    NOTE = "note"


class Code(StrEnum):
    """What was found. ``docs/proofs.md`` explains each."""

    # Events
    ROW_CHANGED = "row_changed"
    BAD_FORM = "bad_form"
    MISSING = "missing"
    DUPLICATE_SEQ = "duplicate_seq"
    DUPLICATE_ID = "duplicate_id"
    DECLARED_WITHOUT_RECORD = "declared_without_record"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_COLUMN = "unknown_column"
    MISSING_COLUMN = "missing_column"
    CHANGED_COLUMN = "changed_column"
    CLOCK_BACK = "clock_back"
    TRIGGER_MISSING = "trigger_missing"
    # The tree
    OPENING_MISSING = "opening_missing"
    TILE_MISSING = "tile_missing"
    TILE_CHANGED = "tile_changed"
    ROOT_CHANGED = "root_changed"
    LOG_CHANGED = "log_changed"
    FLOOR_NOT_RECORDED = "floor_not_recorded"
    # Erasures
    ERASED_WITHOUT_RECORD = "erased_without_record"
    ERASED_ROW_SHOWS_DATA = "erased_row_shows_data"
    FIELDS_WITHOUT_OPENING = "fields_without_opening"
    OPENING_NOT_ERASED = "opening_not_erased"
    ERASURE_NOT_SIGNED = "erasure_not_signed"
    ERASURE_MISMATCH = "erasure_mismatch"
    # Checkpoints
    BAD_CHECKPOINT = "bad_checkpoint"
    UNKNOWN_KEY = "unknown_key"
    WRONG_ORIGIN = "wrong_origin"
    FORK = "fork"
    ROLLBACK = "rollback"
    COSIGNED_LATER = "cosigned_later"
    NO_QUORUM = "no_quorum"
    # What is not proven
    NO_KEY = "no_key"
    NO_LOG = "no_log"
    NO_CHECKPOINT = "no_checkpoint"
    NOT_COMPARED = "not_compared"
    UNSIGNED_TOO_OLD = "unsigned_too_old"
    LOG_RESTARTED = "log_restarted"

    @property
    def weight(self) -> Weight:
        """What it means for the whole."""
        if self in _UNPROVEN:
            return Weight.UNPROVEN
        return Weight.NOTE if self in _NOTES else Weight.TAMPERED


_UNPROVEN = {
    Code.NO_KEY,
    Code.NO_LOG,
    Code.NO_CHECKPOINT,
    Code.NO_QUORUM,
    Code.NOT_COMPARED,
    Code.UNSIGNED_TOO_OLD,
    Code.LOG_RESTARTED,
}
_NOTES = {Code.CLOCK_BACK, Code.COSIGNED_LATER, Code.DUPLICATE_ID, Code.TRIGGER_MISSING}


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was found, and where: events from ``seq`` to ``last``, both included, of a ``table``, and in it of a column.

    ``column`` is the name of a column, or that of a group of fields.
    """

    code: Code
    words: str
    seq: int | None = None
    last: int | None = None
    table: str | None = None
    column: str | None = None

    @property
    def weight(self) -> Weight:
        """What it means for the whole."""
        return self.code.weight


def missing(first: int, last: int) -> Finding:
    """Return the finding that events from *first* to *last* are missing."""
    what = f"the event {first} is" if first == last else f"the events {first} to {last} are"
    return Finding(Code.MISSING, f"{what} missing", first, last if last != first else None)


def bad_form(row: Row, why: str = "") -> Finding:
    """Return the finding that this program has not written a row. *why* says it of one that is an event."""
    bad = row if isinstance(row, Malformed) else Malformed(row.seq, row.form.kind, "", why)
    return Finding(Code.BAD_FORM, bad.words, seq=bad.seq, table=table_name(bad), column=bad.column or None)


def table_name(row: Row) -> str:
    """Return the name of the table that a row is of."""
    return KIND_NAMED[row.kind if isinstance(row, Malformed) else row.form.kind].table
