"""Failed jobs of a real Celery: eager ones, and those of a worker."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, Task
from celery.contrib.testing.worker import start_worker
from celery.signals import setup_logging
from flask import Flask

from audit_service import AuditHandler
from tests.support.logins import errors
from tests.support.plain_host import plain_host
from tests.support.waiting import wait_until


@pytest.fixture
def host(tmp_path: Path, sqlite_template: Path) -> Iterator[Flask]:
    with plain_host(tmp_path, sqlite_template) as app:
        yield app


def celery_of(app: Flask, **settings: Any) -> Celery:
    """Set up Celery as Flask's documentation does."""

    class FlaskTask(Task):
        def __call__(self, *args: object, **kwargs: object) -> object:
            with app.app_context():
                return self.run(*args, **kwargs)

    celery_app = Celery(app.name, task_cls=FlaskTask, set_as_current=False)
    celery_app.config_from_object(settings)
    app.extensions["celery"] = celery_app
    return celery_app


def add_task(celery_app: Celery) -> Task:
    @celery_app.task(name="bake", shared=False)
    def bake(kind: str) -> str:
        if kind == "burnt":
            raise ValueError(f"{kind}, password=hunter2")
        return kind

    return bake


def test_a_job_that_fails(host: Flask) -> None:
    bake = add_task(celery_of(host, task_always_eager=True))
    assert bake.delay("fine").get() == "fine"
    result = bake.delay("burnt")
    (item,) = errors(host)
    assert (item.exception_type, item.message) == ("ValueError", "burnt, password=***")
    assert (item.endpoint, item.request_id, item.path, item.app) == ("bake", result.id, None, "host")
    assert "in bake" in (item.traceback or "")


def test_a_job_of_an_app_without_a_trail(host: Flask) -> None:
    bake = add_task(celery_of(Flask("bare"), task_always_eager=True))
    assert bake.delay("burnt").failed()
    assert errors(host) == []


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Celery sets up no logging: the tests of this process go on with theirs."""

    def nothing(**_: object) -> None:
        pass

    setup_logging.connect(nothing)
    yield
    setup_logging.disconnect(nothing)


@pytest.mark.usefixtures("own_logging")
def test_a_job_in_a_worker_is_one_event(host: Flask) -> None:
    """Also with the handler on the root logger: Celery logs the failure, too."""
    celery_app = celery_of(host, broker_url="memory://", result_backend="cache+memory://")
    bake = add_task(celery_app)
    handler = AuditHandler(host)
    logging.getLogger().addHandler(handler)
    try:
        with start_worker(celery_app, perform_ping_check=False, pool="solo"):
            result = bake.delay("burnt")
            wait_until(lambda: errors(host), "no error event")
            wait_until(result.failed, "the job does not end")
    finally:
        logging.getLogger().removeHandler(handler)
    (item,) = errors(host)
    assert (item.endpoint, item.request_id) == ("bake", result.id)
