"""Lists of events keep nobody waiting: they go in by parts, one list at a time."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, text

from audit_service.context import context_of
from audit_service.errors import AuditUnavailable, BusyError
from audit_service.settings.table import Settings
from audit_service.trail.lists import PART, WAITING, Lists
from audit_service.trail.recorder import LIST_TIMEOUTS, Recorder
from audit_service.trail.repeats import Bug
from audit_service.trail.writer import SPOOL_SHARE
from audit_service.values.flood import RECORDED
from tests.factories import LoginFactory
from tests.support.fault_tools import read_trail
from tests.support.logins import ADA, new_token, report
from tests.support.waiting import PATIENCE, busy_writer, wait_until


def test_a_login_waits_for_one_part_of_a_list(recorder: Recorder, database_url: str, engine: Engine) -> None:
    recorder.timeout = PATIENCE
    events, login = LoginFactory.build_batch(500), LoginFactory.build()
    with ThreadPoolExecutor(2) as threads:
        with busy_writer(recorder, engine):
            reported = threads.submit(recorder.record_all, events)
            wait_until(lambda: recorder.queue_length() >= PART, "the list is not handed over")
            answer = threads.submit(recorder.record, login)
            wait_until(lambda: recorder.queue_length() % PART, "the login is not in the queue")
        reported.result()
        answer.result()
    ids = read_trail(database_url).ids
    assert ids.index(str(login.id)) <= 2 + PART, "a login waits for more than a part of a list"
    assert [each for each in ids if each in {str(event.id) for event in events}] == [str(event.id) for event in events]


def test_a_few_lists_wait_and_no_more(recorder: Recorder, database_url: str, engine: Engine) -> None:
    recorder.timeout = PATIENCE
    lists = [LoginFactory.build_batch(2) for _ in range(WAITING + 1)]
    with ThreadPoolExecutor(WAITING + 1) as threads:
        with busy_writer(recorder, engine):
            answers = [threads.submit(recorder.record_all, events) for events in lists]
            wait_until(lambda: recorder._lists._places._value == 0, "the lists do not wait")
            started = time.monotonic()
            with pytest.raises(BusyError):
                recorder.record_all(LoginFactory.build_batch(2))
            assert time.monotonic() - started < recorder.timeout / 2, "it was not refused at once"
        for answer in answers:
            answer.result()
    assert read_trail(database_url).size == 2 + 2 * len(lists)


def test_a_turn_that_does_not_come() -> None:
    lists = Lists(1000)
    with lists.turn(0), pytest.raises(BusyError, match="took too long"), lists.turn(0.01):
        pytest.fail("two have the turn")
    with lists.turn(0):
        assert lists._places._value == WAITING, "who did not get the turn takes no place"


def test_what_was_counted_of_errors_waits_for_no_list(app: Flask, engine: Engine) -> None:
    """It would be refused where too many lists are waiting, and is told only once."""
    audit = context_of(app)
    audit.recorder.start()
    for kind in ("v1:one", "v1:other"):
        for _ in range(RECORDED + 1):
            audit.repeats.admit(Bug(kind, "ValueError"))
    with ExitStack() as stack:
        for _ in range(WAITING + 1):
            audit.recorder._lists._places.acquire()
            stack.callback(audit.recorder._lists._places.release)
        audit.repeats.tell_all()
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM error_events")) == 2


@pytest.mark.parametrize(("limit", "part"), [(1, 1), (3, 1), (60, 30), (1000, PART)])
def test_a_part_is_a_share_of_the_queue(limit: int, part: int) -> None:
    assert Lists(limit).part == part


@pytest.mark.parametrize("backend", ["postgresql"])
def test_a_list_that_takes_too_long(database_url: str, engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    """On PostgreSQL only: it can be made slow."""
    with engine.begin() as connection:
        sleep = "BEGIN PERFORM pg_sleep(0.25); RETURN NULL; END"
        connection.execute(text(f"CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS '{sleep}'"))
        connection.execute(text("CREATE TRIGGER slow BEFORE INSERT ON login_events EXECUTE FUNCTION slow()"))
    recorder = Recorder(Settings(database_url=database_url).url, timeout=0.5)
    events = LoginFactory.build_batch(10 * PART)
    started = time.monotonic()
    with pytest.raises(AuditUnavailable):
        recorder.record_all(events)
    assert time.monotonic() - started < recorder.timeout * (LIST_TIMEOUTS + SPOOL_SHARE) + 0.8  # all would take 2.5 s
    recorder.stop()
    ids = read_trail(database_url).ids
    assert ids == [str(event.id) for event in events[: len(ids)]], "what is stored is the beginning"
    told = capfd.readouterr().err
    assert all(str(event.id) in ids or str(event.id) in told for event in events), "what is refused is on stderr"


def test_a_reporter_hears_when_to_send_a_list_again(app: Flask, client: FlaskClient) -> None:
    shop, recorder = new_token(app, "shop"), context_of(app).recorder
    assert report(client, shop, [ADA, ADA]).status_code == 200
    with ExitStack() as places:
        for _ in range(1 + WAITING):
            places.enter_context(recorder._lists._places)
        answer = report(client, shop, [ADA, ADA])
        assert (answer.status_code, answer.content_type) == (503, "application/problem+json")
        assert answer.headers["Retry-After"] == "1"
        assert report(client, shop, ADA).status_code == 200, "a single report needs no turn"
    assert report(client, shop, [ADA, ADA]).status_code == 200
    assert recorder.counters.refused == 0
