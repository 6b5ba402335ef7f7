"""The trail: positions, ids, what is stored."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import IntegrityError, NoResultFound
from sqlalchemy.orm import Session

from audit_service.events import NewEvent
from audit_service.history.items import ErrorItem, LoginItem
from audit_service.history.query import find_event
from audit_service.models import AdminEvent, ErrorEvent, LoginEvent, TrailHead
from audit_service.trail.append import append
from audit_service.trail.recorder import Recorder
from tests.factories import ErrorFactory, LoginFactory


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


@pytest.mark.parametrize(("kind", "item_kind"), [(LoginFactory, LoginItem), (ErrorFactory, ErrorItem)])
def test_what_is_read_is_what_was_recorded(
    recorder: Recorder, engine: Engine, kind: type[LoginFactory], item_kind: type[LoginItem]
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    event = kind()
    with Session(engine) as session:
        item = find_event(session, item_kind, event.id)
    assert item is not None
    read = msgspec.structs.asdict(item)
    assert read.pop("seq") == 1
    assert before < read.pop("recorded_at") < datetime.now(UTC) + timedelta(seconds=1)
    assert read == msgspec.structs.asdict(event)


def test_a_mixed_batch_is_stored_logins_first(connection: Connection, engine: Engine) -> None:
    error, login = ErrorFactory.build(), LoginFactory.build()
    append(connection, [error, login])
    assert positions(engine) == {1: login.id, 2: error.id}


def test_the_same_id_is_stored_once_and_takes_one_position(connection: Connection, engine: Engine) -> None:
    first, again, second = LoginFactory.build(), LoginFactory.build(), LoginFactory.build()
    again = msgspec.structs.replace(again, id=first.id)
    append(connection, [first, again])
    append(connection, [again, second])
    append(connection, [again])
    assert positions(engine) == {1: first.id, 2: second.id}
    assert size(engine) == 2


def test_a_batch_is_stored_whole_or_not_at_all(connection: Connection, engine: Engine) -> None:
    good, bad = LoginFactory.build(), LoginFactory.build(username=None)
    with pytest.raises(IntegrityError):
        append(connection, [good, bad])
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
            if connection.dialect.name == "postgresql"
            else ("DROP TRIGGER trail_head_stays")
        )
        connection.execute(text(trigger))
        connection.execute(text("DELETE FROM trail_head"))
    with pytest.raises(NoResultFound):
        append(connection, [LoginFactory.build()])


def test_any_zone_is_stored_as_utc(connection: Connection, engine: Engine) -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=2)))
    event = LoginFactory.build(timestamp=noon)
    append(connection, [event])
    with Session(engine) as session:
        item = find_event(session, LoginItem, event.id)
    assert item is not None
    assert item.timestamp == noon
