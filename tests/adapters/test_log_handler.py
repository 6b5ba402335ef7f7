"""Exceptions that an app catches: ``record_error``, and ``AuditHandler`` for those that it logs."""

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text

from audit_service import AuditHandler, LoginAudit, record_error
from audit_service.context import context_of
from audit_service.errors import NotConfiguredError
from tests.support.logins import errors
from tests.support.plain_host import plain_host

log = logging.getLogger("shop")


@pytest.fixture
def host(tmp_path: Path, sqlite_template: Path) -> Iterator[Flask]:
    with plain_host(tmp_path / "one", sqlite_template, PROPAGATE_EXCEPTIONS=False) as app:
        yield app


@pytest.fixture
def other(tmp_path: Path, sqlite_template: Path) -> Iterator[Flask]:
    with plain_host(tmp_path / "two", sqlite_template, "other") as app:
        yield app


@pytest.fixture
def listen() -> Iterator[Callable[[logging.Logger, AuditHandler], None]]:
    added: list[tuple[logging.Logger, AuditHandler]] = []

    def add(logger: logging.Logger, handler: AuditHandler) -> None:
        logger.addHandler(handler)
        added.append((logger, handler))

    yield add
    for logger, handler in added:
        logger.removeHandler(handler)


Listen = Callable[[logging.Logger, AuditHandler], None]


def fail(then: Callable[[Exception], object]) -> None:
    try:
        raise LookupError("no such cake, password=hunter2")
    except LookupError as error:
        then(error)


def logs(error: Exception, logger: logging.Logger = log, level: int = logging.ERROR) -> None:
    logger.log(level, "caught", exc_info=error)


def types(app: Flask) -> list[str]:
    return [item.exception_type for item in errors(app)]


@pytest.mark.parametrize("record", [record_error, LoginAudit.record_error])
def test_a_caught_exception_with_the_facts_of_the_request(host: Flask, record: Callable[[Exception], None]) -> None:
    @host.get("/cake")
    def cake() -> str:
        fail(record)
        return "none"

    answer = host.test_client().get("/cake?token=x", headers={"X-Request-ID": "r1"})
    assert answer.text == "none"
    (item,) = errors(host)
    assert (item.exception_type, item.http_method, item.path, item.endpoint, item.request_id, item.remote_addr) == (
        "LookupError",
        "GET",
        "/cake",
        "cake",
        "r1",
        "127.0.0.1",
    )
    assert item.message == "no such cake, password=***"


def test_outside_a_request_and_without_a_trail(host: Flask) -> None:
    with host.app_context():
        fail(record_error)
    (item,) = errors(host)
    assert (item.path, item.request_id) == (None, None)
    with Flask("bare").app_context(), pytest.raises(NotConfiguredError, match=r"call LoginAudit\(app\) first"):
        record_error(ValueError())


def test_what_goes_wrong_in_recording_is_logged(
    host: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    context = context_of(host)
    monkeypatch.setattr(context.recorder, "spool_path", None)
    with context.reader.begin() as connection:
        connection.execute(text("DROP TABLE trail_head"))
    with host.app_context():
        fail(record_error)
    assert "an exception could not be recorded" in caplog.text


def test_an_exception_recorded_in_every_way_is_one_event(host: Flask, listen: Listen) -> None:
    """The app's log has it, too, when it was not caught: Flask logs it."""

    @host.get("/cake")
    def cake() -> str:
        def all_of_it(error: Exception) -> None:
            logs(error)
            record_error(error)
            raise error

        fail(all_of_it)
        return "never"

    listen(logging.getLogger(), AuditHandler())
    assert host.test_client().get("/cake").status_code == 500
    assert types(host) == ["LookupError"]


def test_only_records_with_an_exception_are_recorded(host: Flask, listen: Listen) -> None:
    listen(log, AuditHandler())
    with host.app_context():
        log.error("no exception")
        log.error("none here", exc_info=(None, None, None))
        fail(lambda error: logs(error, level=logging.WARNING))
        assert types(host) == []
        try:
            raise LookupError
        except LookupError:
            log.exception("as apps do it")
    assert types(host) == ["LookupError"]


def test_a_filter_keeps_records_out(host: Flask, listen: Listen) -> None:
    handler = AuditHandler()
    handler.addFilter(lambda record: "caught" not in record.getMessage())
    listen(log, handler)
    with host.app_context():
        fail(logs)
    assert types(host) == []


def test_apps_do_not_mix(host: Flask, other: Flask, listen: Listen) -> None:
    listen(log, AuditHandler(host))
    with other.app_context():
        fail(logs)
    assert (types(host), types(other)) == ([], [])
    thread = threading.Thread(target=fail, args=(logs,))  # without any context
    thread.start()
    thread.join()
    assert (types(host), types(other)) == (["LookupError"], [])


def test_without_an_app_nothing_is_recorded_and_nothing_is_raised(listen: Listen) -> None:
    listen(log, AuditHandler())
    fail(logs)
    with Flask("bare").app_context():
        fail(logs)


def test_the_own_log_and_what_recording_logs_are_passed_over(host: Flask, listen: Listen) -> None:
    """Else each would make the next."""

    def identify(_request: object) -> str | None:
        fail(logs)
        return None

    object.__setattr__(context_of(host).seams, "identify", identify)
    listen(logging.getLogger(), AuditHandler(host))
    with host.test_request_context():
        fail(lambda error: logs(error, logging.getLogger("audit_service")))
        fail(lambda error: logs(error, logging.getLogger("audit_service.trail")))
        assert types(host) == []
        fail(logs)
    assert types(host) == ["LookupError"]


def test_what_the_threads_of_the_recorder_log_does_not_wait_for_them(host: Flask, listen: Listen) -> None:
    listen(log, AuditHandler(host))
    thread = threading.Thread(target=fail, args=(logs,), name="audit-writer")
    thread.start()
    thread.join()
    assert types(host) == []


def test_a_broken_handler_does_not_raise(
    host: Flask, listen: Listen, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listen(log, AuditHandler())

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("audit_service.adapters.log_handler.record_error", broken)
    with host.app_context():
        fail(logs)
    assert "RuntimeError: broken" in capsys.readouterr().err
