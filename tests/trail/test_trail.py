"""The trail: positions, ids, what is stored."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import IntegrityError, NoResultFound
from sqlalchemy.orm import Session

from audit_service.events.base import NewEvent
from audit_service.events.kinds import KIND_OF
from audit_service.events.logins import LOGINS, NewLogin
from audit_service.history.query import find_event
from audit_service.storage.dialects import is_postgresql
from audit_service.storage.models import AdminEvent, ErrorEvent, LoginEvent, TrailHead
from audit_service.trail.append import append_batch
from audit_service.trail.recorder import Recorder
from audit_service.vocabulary import Action, Outcome, Reason
from tests.factories import AdminFactory, ErrorFactory, EventFactory, LoginFactory


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def positions(engine: Engine) -> dict[int, UUID]:
    with engine.connect() as connection:
        rows: list[tuple[int, UUID]] = []
        for model in (LoginEvent, ErrorEvent, AdminEvent):
            rows += [(row.seq, row.id) for row in connection.execute(select(model.seq, model.id))]
    assert len(rows) == len(dict(rows)), "a position is taken twice"
    return dict(sorted(rows))


def size(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(select(TrailHead.size)).scalar_one()


def test_logins_and_errors_share_one_trail(recorder: Recorder, engine: Engine) -> None:
    made = [LoginFactory(), ErrorFactory(), LoginFactory(failed=True), ErrorFactory(anonymous=True)]
    assert positions(engine) == {n: event.id for n, event in enumerate(made, 1)}
    assert size(engine) == 4


@pytest.mark.parametrize("make", [LoginFactory, ErrorFactory, AdminFactory])
def test_what_is_read_is_what_was_recorded(recorder: Recorder, engine: Engine, make: type[EventFactory]) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    event = make()
    with Session(engine) as session:
        item = find_event(session, KIND_OF[type(event)], event.id)
    assert item is not None
    read = msgspec.structs.asdict(item)
    assert read.pop("seq") == 1
    assert before < read.pop("recorded_at") < datetime.now(UTC) + timedelta(seconds=1)
    assert read == msgspec.structs.asdict(event)


def test_a_mixed_batch_is_stored_logins_first(connection: Connection, engine: Engine) -> None:
    error, login = ErrorFactory.build(), LoginFactory.build()
    append_batch(connection, [error, login])
    assert positions(engine) == {1: login.id, 2: error.id}


def test_the_same_id_is_stored_once_and_takes_one_position(connection: Connection, engine: Engine) -> None:
    first, second = (
        LoginFactory.build(remote_addr="2001:db8::1:2", details={"b": 1.0, "a": ["\u00e9"]}),
        LoginFactory.build(),
    )
    there = timezone(timedelta(hours=2))
    again = msgspec.structs.replace(
        first, timestamp=first.timestamp.astimezone(there), details={"a": ["\u00e9"], "b": 1}
    )
    for batch in ([first, again], [again, second], [again]):
        assert append_batch(connection, batch) == [], "it is the same event"
    assert positions(engine) == {1: first.id, 2: second.id}
    assert size(engine) == 2


OTHER = {
    "timestamp": datetime(2026, 1, 31, tzinfo=UTC),
    "app": "other",
    "remote_addr": "192.0.2.99",
    "request_id": None,
    "username": "other",
    "network": None,
    "action": Action.LOGOUT,
    "outcome": Outcome.FAILURE,
    "reason": Reason.OTHER,
    "user_agent": None,
    "method": "other",
    "details": {"token": "other"},
}


@pytest.mark.parametrize("field", OTHER)
def test_another_event_under_an_id_that_is_taken_is_told(connection: Connection, engine: Engine, field: str) -> None:
    first, new = LoginFactory.build_batch(2)
    other = msgspec.structs.replace(first, **{field: OTHER[field]})
    append_batch(connection, [first])
    assert append_batch(connection, [other, first, new, other]) == [0, 3]
    assert positions(engine) == {1: first.id, 2: new.id}
    with Session(engine) as session:
        item = find_event(session, LOGINS, first.id)
    assert getattr(item, field) == getattr(first, field)


def test_every_field_of_a_login_makes_it_another() -> None:
    assert set(OTHER) == {*NewLogin.__struct_fields__} - {"id"}


def test_of_two_events_with_one_id_in_a_batch_the_first_is_stored(connection: Connection, engine: Engine) -> None:
    first, last = LoginFactory.build_batch(2)
    other = msgspec.structs.replace(first, username="other")
    assert append_batch(connection, [first, other, first, last, other]) == [1, 4]
    assert positions(engine) == {1: first.id, 2: last.id}


def test_looks_that_are_folded_share_an_id(connection: Connection, engine: Engine) -> None:
    first, other = AdminFactory.build_batch(2)
    other = msgspec.structs.replace(other, id=first.id)
    assert append_batch(connection, [first, other]) == append_batch(connection, [other]) == []
    assert positions(engine) == {1: first.id}


def test_a_batch_is_stored_whole_or_not_at_all(connection: Connection, engine: Engine) -> None:
    good, bad = LoginFactory.build(), LoginFactory.build(app=None)
    with pytest.raises(IntegrityError):
        append_batch(connection, [good, bad])
    assert positions(engine) == {}
    assert size(engine) == 0


@pytest.mark.parametrize(("event", "model"), [(LoginFactory.build(), LoginEvent), (ErrorFactory.build(), ErrorEvent)])
def test_events_and_tables_have_the_same_fields(event: NewEvent, model: type[LoginEvent | ErrorEvent]) -> None:
    columns = set(model.__table__.columns.keys())
    assert columns == {*event.__struct_fields__, "seq", "recorded_at"}


def test_without_a_head_nothing_passes_for_stored(connection: Connection) -> None:
    with connection.begin():
        connection.execute(text("UPDATE trail_head SET id = 1"))
        trigger = (
            "ALTER TABLE trail_head DISABLE TRIGGER ALL"
            if is_postgresql(connection)
            else ("DROP TRIGGER trail_head_stays")
        )
        connection.execute(text(trigger))
        connection.execute(text("DELETE FROM trail_head"))
    with pytest.raises(NoResultFound):
        append_batch(connection, [LoginFactory.build()])


def test_any_zone_is_stored_as_utc(connection: Connection, engine: Engine) -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=2)))
    event = LoginFactory.build(timestamp=noon)
    append_batch(connection, [event])
    with Session(engine) as session:
        item = find_event(session, LOGINS, event.id)
    assert item is not None
    assert item.timestamp == noon
