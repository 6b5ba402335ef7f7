"""The trail: positions, ids, what is stored."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from audit_service.database import make_engine
from audit_service.errors import AuditUnavailable
from audit_service.events import NewEvent
from audit_service.history.items import ErrorItem, LoginItem
from audit_service.history.query import find_event
from audit_service.models import ErrorEvent, LoginEvent, TrailHead
from audit_service.settings import Settings
from audit_service.trail.append import append
from audit_service.trail.recorder import Recorder
from tests.factories import ErrorFactory, LoginFactory


def positions(engine: Engine) -> dict[int, UUID]:
    with engine.connect() as connection:
        rows: list[tuple[int, UUID]] = []
        for model in (LoginEvent, ErrorEvent):
            rows += [(row.seq, row.id) for row in connection.execute(select(model.seq, model.id))]
    assert len(rows) == len(dict(rows)), "a position is taken twice"
    return dict(sorted(rows))


def size(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.execute(select(TrailHead.size)).scalar_one()


def test_logins_and_errors_share_one_trail(recorder: Recorder) -> None:
    made = [LoginFactory(), ErrorFactory(), LoginFactory(failed=True), ErrorFactory(anonymous=True)]
    assert positions(recorder.engine) == {n: event.id for n, event in enumerate(made, 1)}
    assert size(recorder.engine) == 4


@pytest.mark.parametrize(("kind", "item_kind"), [(LoginFactory, LoginItem), (ErrorFactory, ErrorItem)])
def test_what_is_read_is_what_was_recorded(
    recorder: Recorder, kind: type[LoginFactory], item_kind: type[LoginItem]
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    event = kind()
    with Session(recorder.engine) as session:
        item = find_event(session, item_kind, event.id)
    assert item is not None
    read = msgspec.structs.asdict(item)
    assert read.pop("seq") == 1
    assert before < read.pop("recorded_at") < datetime.now(UTC) + timedelta(seconds=1)
    assert read == msgspec.structs.asdict(event)


def test_the_same_id_is_stored_once_and_takes_one_position(recorder: Recorder) -> None:
    first, again, second = LoginFactory.build(), LoginFactory.build(), LoginFactory.build()
    again = msgspec.structs.replace(again, id=first.id)
    append(recorder.engine, [first, again])
    append(recorder.engine, [again, second])
    assert positions(recorder.engine) == {1: first.id, 2: second.id}


def test_parallel_writers_leave_no_gap(recorder: Recorder) -> None:
    events: list[NewEvent] = [*LoginFactory.build_batch(40), *ErrorFactory.build_batch(10)]
    with ThreadPoolExecutor(8) as threads:
        ids = list(threads.map(recorder.record, events))
    stored = positions(recorder.engine)
    assert list(stored) == list(range(1, 51))
    assert set(stored.values()) == set(ids)


def test_a_batch_is_stored_whole_or_not_at_all(recorder: Recorder) -> None:
    good, bad = LoginFactory.build(), LoginFactory.build(remote_addr="no address")
    with pytest.raises(Exception, match="no address"):
        append(recorder.engine, [good, bad])
    assert positions(recorder.engine) == {}
    assert size(recorder.engine) == 0


def test_a_database_that_cannot_store_is_said_so(empty_database_url: str) -> None:
    engine = make_engine(Settings(database_url=empty_database_url).url, writes=True)
    with pytest.raises(AuditUnavailable):
        Recorder(engine).record(LoginFactory.build())
    engine.dispose()


@pytest.mark.parametrize(("event", "model"), [(LoginFactory.build(), LoginEvent), (ErrorFactory.build(), ErrorEvent)])
def test_events_and_tables_have_the_same_fields(event: NewEvent, model: type[LoginEvent | ErrorEvent]) -> None:
    columns = set(model.__table__.columns.keys())
    assert columns == {*event.__struct_fields__, "seq", "recorded_at"}
