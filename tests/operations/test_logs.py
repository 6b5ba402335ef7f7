"""What the service prints, and that it changes no other app's log."""

import io
import logging

import pytest
from flask import Flask
from flask.logging import default_handler

from audit_service.operations.logs import scrub_logs


@pytest.fixture
def app() -> Flask:
    """As in a process that has not set up logging itself."""
    app = Flask("app_of_the_log_tests")
    app.logger.handlers = [default_handler]
    return app


def test_secrets_are_not_printed(app: Flask) -> None:
    scrub_logs(app)
    printed = io.StringIO()
    with app.test_request_context(errors_stream=printed):
        try:
            raise ValueError("password=hunter2")
        except ValueError:
            app.logger.exception("postgresql://ada:hunter2@db/x")
    assert "postgresql://ada:***@db/x" in printed.getvalue()
    assert "password=***" in printed.getvalue()
    assert "hunter2" not in printed.getvalue()


def test_outside_of_a_request_it_goes_to_stderr(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    scrub_logs(app)
    app.logger.error("token='hunter2'")
    assert "token=***" in capsys.readouterr().err


def test_the_handler_that_all_apps_share_is_left_as_it_is(app: Flask) -> None:
    other, before = Flask("another_app_of_the_log_tests"), default_handler.formatter
    other.logger.handlers = [default_handler]
    scrub_logs(app)
    assert default_handler.formatter is before
    assert other.logger.handlers == [default_handler]
    assert default_handler not in app.logger.handlers


def test_logging_that_the_process_has_set_up_is_left_as_it_is(app: Flask) -> None:
    own = logging.StreamHandler(io.StringIO())
    app.logger.handlers = [own]
    scrub_logs(app)
    assert app.logger.handlers == [own]
    assert own.formatter is None
