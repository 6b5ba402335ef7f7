"""The tables of the log: what the signer writes beside the events. No event row has a column of it."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from audit_service.storage.database import Base, UtcDateTime
from audit_service.values import limits


class TrailLog(Base):
    """One row: the log that the events are the leaves of, and how far its tree reaches. The verifier trusts none of it.

    ``declared``: events up to this ``seq`` that are not there, or have no canonical form, are declared missing.
    ``problem``: why the signer has stopped, a word; nothing while it works.
    """

    __tablename__ = "trail_log"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    origin: Mapped[str] = mapped_column(String(limits.ORIGIN))
    log_id: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    size: Mapped[int] = mapped_column(BigInteger)
    root: Mapped[bytes] = mapped_column(LargeBinary(32))
    floor: Mapped[int] = mapped_column(BigInteger)
    declared: Mapped[int] = mapped_column(BigInteger)
    problem: Mapped[str | None] = mapped_column(String(32))
    problem_detail: Mapped[str | None] = mapped_column(Text)
    problem_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class TrailLeaf(Base):
    """The hash of an event's leaf, and the openings of its commitments: who's 16 bytes, then where's; 0 if erased.

    A leaf that stands for a missing event has no opening.
    """

    __tablename__ = "trail_leaves"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    opening: Mapped[bytes | None] = mapped_column(LargeBinary(32))


class TrailTile(Base):
    """Up to 256 hashes of a level of the tree above the leaves, as C2SP tlog-tiles has them; the last one grows."""

    __tablename__ = "trail_tiles"

    level: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    n: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hashes: Mapped[bytes] = mapped_column(LargeBinary(8192))


class TrailErasure(Base):
    """A group of an event's fields that was erased: the commitment that stays, and the admin event that tells of it."""

    __tablename__ = "trail_erasures"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    field_group: Mapped[str] = mapped_column(String(8), primary_key=True)
    commitment: Mapped[bytes] = mapped_column(LargeBinary(32))
    by_seq: Mapped[int] = mapped_column(BigInteger)


class TrailCheckpoint(Base):
    """A signed checkpoint (C2SP tlog-checkpoint). Those of earlier logs stay."""

    __tablename__ = "trail_checkpoints"

    log_id: Mapped[str] = mapped_column(String(16), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    signed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    note: Mapped[str] = mapped_column(Text)


class TrailConfirmation(Base):
    """Somebody outside who has a checkpoint: a witness with its cosignature, a time stamp, or the hook that took it."""

    __tablename__ = "trail_confirmations"
    __table_args__ = (Index("ix_trail_confirmations_newest", "log_id", "name", "size"),)

    log_id: Mapped[str] = mapped_column(String(16), primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(limits.ORIGIN), primary_key=True)
    confirmed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    line: Mapped[str | None] = mapped_column(Text)
