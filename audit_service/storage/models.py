"""The tables: columns and indexes, no queries. ``docs/reference.md`` says what each field means."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, String, Table, Text, TextClause, UniqueConstraint, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from audit_service.events.admin import ADMIN_EVENTS
from audit_service.events.base import Kind
from audit_service.events.errors import ERRORS
from audit_service.events.logins import LOGINS
from audit_service.storage import log_models  # noqa: F401 - its tables are in the same metadata
from audit_service.storage.database import Base, IpAddress, Json, UtcDateTime
from audit_service.values import limits

NULLS_FIRST = "nulls_first"
FOLDED_NAMES = "ix_login_events_folded_username_timestamp_seq"
WITHOUT_ADDRESS = "remote_addr IS NULL AND network IS NOT NULL"  # refused attempts that were counted


class EventColumns:
    """What every event has, first. An event row never changes once it is written, but for what is erased from it.

    A column of what says who it was is null only in rows from which that was erased, if the kind always has it.
    """

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, sort_order=-9)
    seq: Mapped[int] = mapped_column(BigInteger, sort_order=-8)
    timestamp: Mapped[datetime] = mapped_column(UtcDateTime, sort_order=-7)
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime, sort_order=-6)
    app: Mapped[str] = mapped_column(String(limits.APP), sort_order=-5)
    remote_addr: Mapped[str | None] = mapped_column(IpAddress, sort_order=-4)
    request_id: Mapped[str | None] = mapped_column(String(limits.REQUEST_ID), sort_order=-3)


def time_index(
    *columns: str | TextClause,
    name: str | None = None,
    where: str | None = None,
    on_sqlite: str | None = None,
    include: tuple[str, ...] = (),
) -> Index:
    """Return an index that holds events with the same value of *columns* in the order of time.

    It holds only those for which the condition *where* is true, and on SQLite, where an index costs writers more,
    the condition *on_sqlite*. On PostgreSQL it has the columns *include*, too, for counts by them; the migration makes
    it with ``NULLS FIRST``, and says why; ``info`` marks it for Alembic.
    """
    only, only_on_sqlite = (None if each is None else text(each) for each in (where, on_sqlite or where))
    info = {NULLS_FIRST: True}
    return Index(
        name,
        *columns,
        "timestamp",
        "seq",
        postgresql_where=only,
        postgresql_include=include,
        sqlite_where=only_on_sqlite,
        info=info,
    )


class LoginEvent(EventColumns, Base):
    """A login, failed login or logout."""

    __tablename__ = LOGINS.table
    __table_args__ = (
        UniqueConstraint("seq"),
        Index(None, "timestamp", "seq"),
        time_index("username"),
        time_index(text('lower(username COLLATE "C")'), name=FOLDED_NAMES).ddl_if("postgresql"),
        time_index("remote_addr"),
        time_index("network", on_sqlite="outcome = 'failure'"),
        time_index("app").ddl_if("postgresql"),
        time_index("method").ddl_if("postgresql"),
        time_index("reason", where="reason IS NOT NULL"),
        time_index(
            name="ix_login_events_failures", where="outcome = 'failure'", include=("username", "network", "reason")
        ),
        time_index(name="ix_login_events_logouts", where="action = 'logout'"),
        Index(None, "request_id", postgresql_using="hash"),
        Index(
            "ix_login_events_without_address",
            "network",
            postgresql_where=text(WITHOUT_ADDRESS),
            sqlite_where=text(WITHOUT_ADDRESS),
        ),
    )

    network: Mapped[str | None] = mapped_column(String(limits.NETWORK))
    action: Mapped[str] = mapped_column(String(16))
    outcome: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(32))
    username: Mapped[str | None] = mapped_column(String(limits.USERNAME))
    user_agent: Mapped[str | None] = mapped_column(String(limits.USER_AGENT))
    method: Mapped[str | None] = mapped_column(String(limits.METHOD))
    details: Mapped[dict[str, Any] | None] = mapped_column(Json)


class ErrorEvent(EventColumns, Base):
    """An unhandled exception."""

    __tablename__ = ERRORS.table
    __table_args__ = (
        UniqueConstraint("seq"),
        Index(None, "timestamp", "seq"),
        time_index("fingerprint"),
        time_index("username"),
    )

    exception_type: Mapped[str] = mapped_column(String(limits.EXCEPTION_TYPE))
    message: Mapped[str | None] = mapped_column(Text)
    traceback: Mapped[str | None] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(String(limits.FINGERPRINT))
    http_method: Mapped[str | None] = mapped_column(String(limits.HTTP_METHOD))
    path: Mapped[str | None] = mapped_column(Text)
    endpoint: Mapped[str | None] = mapped_column(String(limits.ENDPOINT))
    username: Mapped[str | None] = mapped_column(String(limits.USERNAME))


class AdminEvent(EventColumns, Base):
    """A change of accounts or tokens, a look at the history, the start or stop of recording."""

    __tablename__ = ADMIN_EVENTS.table
    __table_args__ = (
        UniqueConstraint("seq"),
        Index(None, "timestamp", "seq"),
        time_index("actor"),
        time_index("target"),
    )

    actor: Mapped[str | None] = mapped_column(String(limits.USERNAME))
    action: Mapped[str] = mapped_column(String(32))
    target: Mapped[str | None] = mapped_column(String(limits.TARGET))
    details: Mapped[dict[str, Any] | None] = mapped_column(Json)


def table_of(kind: Kind) -> Table:
    """Return the table that holds the events of that kind."""
    return Base.metadata.tables[kind.table]


class TrailHead(Base):
    """One row that holds the size of the trail. Its lock orders the writers, so ``seq`` is gap-free."""

    __tablename__ = "trail_head"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    size: Mapped[int] = mapped_column(BigInteger)


class TrailIdentity(Base):
    """One row that tells this trail from every other: events that wait in a spool are stored in their own only."""

    __tablename__ = "trail_identity"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    trail_id: Mapped[UUID] = mapped_column(Uuid)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Account(Base):
    """An account that can log in to the service itself."""

    __tablename__ = "audit_accounts"
    __table_args__ = (UniqueConstraint("username"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(limits.USERNAME))
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(16))
    session_key: Mapped[str] = mapped_column(String(32))  # its sessions carry it: a new one ends them all
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class EndedSession(Base):
    """A session that was ended before its time: a copy of its cookie is worthless."""

    __tablename__ = "audit_ended_sessions"

    session_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    until: Mapped[datetime] = mapped_column(UtcDateTime)  # then it would have ended by itself


class KnownSession(Base):
    """A session of an account as it was last seen, for those who ask who is logged in: it decides nothing.

    Its id and key let nobody in: the cookie that holds them is signed.
    """

    __tablename__ = "audit_sessions"

    session_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    username: Mapped[str] = mapped_column(String(limits.USERNAME))
    session_key: Mapped[str] = mapped_column(String(32))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    remote_addr: Mapped[str | None] = mapped_column(IpAddress)
    user_agent: Mapped[str | None] = mapped_column(String(limits.USER_AGENT))


class RefusedAttempts(Base):
    """Refused attempts to log in that are counted, not recorded one by one: see ``throttle``."""

    __tablename__ = "audit_refused_attempts"

    network: Mapped[str] = mapped_column(String(limits.NETWORK), primary_key=True)  # "" for none
    username: Mapped[str] = mapped_column(String(limits.USERNAME), primary_key=True)
    app: Mapped[str] = mapped_column(String(limits.APP), primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    first_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Token(Base):
    """What a machine presents. Only the SHA-256 of the token is kept."""

    __tablename__ = "audit_tokens"
    __table_args__ = (UniqueConstraint("name"), UniqueConstraint("token_hash"))

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(limits.TOKEN_NAME))
    token_hash: Mapped[str] = mapped_column(String(64))
    scope: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
