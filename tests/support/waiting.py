"""Waiting until something is so, and making others wait."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from audit_service.events.base import NewEvent
from audit_service.trail.recorder import Recorder
from audit_service.trail.writer import _Waiting
from tests.factories import LoginFactory

PATIENCE = 20  # seconds: nothing shall go to the spool because the machine is slow


def wait_until(is_so: Callable[[], object], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@contextmanager
def busy_writer(recorder: Recorder, engine: Engine) -> Iterator[NewEvent]:
    """The trail is locked, and the writer waits for it with one event: what is recorded now stays in the queue."""
    event = LoginFactory.build()
    recorder.record(LoginFactory.build())
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trail_head SET size = size")
        recorder._writer._queue.put(_Waiting(event, time.monotonic() + recorder.timeout))
        wait_until(lambda: recorder.queue_length() == 0, "the writer does not take the event")
        yield event
