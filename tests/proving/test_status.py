"""How far the proof reaches: what is read, and how it is told by commands and by /readyz."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask

from audit_service import LoginAudit, create_app
from audit_service.proving.confirmations import Confirmation, read_confirmations, store_confirmation
from audit_service.proving.log import note_problem
from audit_service.proving.status import LogState, LogStatus, read_status
from audit_service.trail.recorder import Recorder
from tests.factories import LoginFactory
from tests.support.apps import SECRET_KEY
from tests.support.commands import run, succeed
from tests.support.signed_trail import SignedTrail

HOUR = timedelta(hours=1)


@pytest.fixture
def trail(database_url: str, recorder: Recorder, tmp_path: Path) -> Iterator[SignedTrail]:
    made = SignedTrail(database_url, tmp_path / "data")
    yield made
    made.close()


def status(trail: SignedTrail) -> LogStatus | None:
    with trail.database.read() as connection:
        return read_status(connection)


def confirm(trail: SignedTrail, name: str, size: int, at: datetime, line: str | None = None) -> None:
    with trail.database.write() as connection:
        store_confirmation(connection, trail.log().log_id, Confirmation(name, size, at, line))


def test_from_the_beginning_to_a_stop(trail: SignedTrail) -> None:
    assert status(trail) is None
    log = trail.start()
    begun = status(trail)
    assert begun
    assert (begun.origin, begun.log_id) == (log.origin, log.log_id)
    assert (begun.events, begun.signed, begun.signed_at, begun.unsigned, begun.confirmed) == (1, 0, None, 1, None)
    now = datetime.now(UTC)
    assert begun.waiting_since
    assert now - begun.waiting_since < HOUR
    assert begun.state(now, HOUR) is LogState.SIGNING
    assert begun.state(now + 2 * HOUR, HOUR) is LogState.BEHIND

    LoginFactory.create_batch(3)
    trail.sign()
    signed = status(trail)
    assert signed
    assert (signed.events, signed.signed, signed.unsigned, signed.waiting_since) == (4, 4, 0, None)
    assert signed.signed_at
    assert signed.state(now + 1000 * HOUR, HOUR) is LogState.SIGNING

    LoginFactory.create_batch(2)
    with trail.database.write() as connection:
        note_problem(connection, log.log_id, "gap", "the event 3 is missing. Do this.")
    stopped = status(trail)
    assert stopped
    assert (stopped.unsigned, stopped.problem, stopped.detail) == (2, "gap", "the event 3 is missing. Do this.")
    assert stopped.problem_at
    assert stopped.state(now, HOUR) is LogState.STOPPED


def test_the_newest_confirmation_of_each(trail: SignedTrail) -> None:
    trail.start()
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    for name, size, hours in [("hook", 1, 0), ("w.example/b", 3, 1), ("hook", 3, 2), ("w.example/a", 2, 5)]:
        confirm(trail, name, size, at + hours * HOUR, None if name == "hook" else "line")
    with trail.database.write() as connection:  # of another log, before a restart
        store_confirmation(connection, "0" * 16, Confirmation("w.example/c", 9, at + 9 * HOUR, "line"))
    confirm(trail, "hook", 3, at + 3 * HOUR)  # once more, as once a day
    found = status(trail)
    assert found
    assert [(each.name, each.size, (each.confirmed_at - at) // HOUR) for each in found.confirmations] == [
        ("hook", 3, 3),
        ("w.example/a", 2, 5),
        ("w.example/b", 3, 1),
    ]
    assert found.confirmed
    assert found.confirmed.name == "w.example/a"
    with trail.database.read() as connection:
        assert read_confirmations(connection, "f" * 16) == []


def test_the_command(trail: SignedTrail, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_DATABASE_URL", database_url)
    without = run("trail", "status")
    assert (without.exit_code, "audit-service trail init" in without.output) == (1, True)
    log = trail.start()
    first = succeed("trail", "status").splitlines()
    assert first[0].split() == ["log", log.origin]
    assert re.fullmatch(r"checkpoint +none yet", first[1])
    assert re.fullmatch(r"not signed +1 events, the oldest stored (now|\d+ s ago)", first[2])
    assert first[3].startswith(
        "outside     nobody has a checkpoint (AUDIT_CHECKPOINT_HOOK, AUDIT_STAMP_URL, AUDIT_WITNESSES)"
    )
    LoginFactory.create_batch(2)
    trail.sign()
    confirm(trail, "hook", 2, datetime.now(UTC) - timedelta(minutes=9))
    with trail.database.write() as connection:
        note_problem(connection, log.log_id, "gap", "the event 3 is missing. Do this.")
    shown = succeed("trail", "status")
    assert re.search(r"^checkpoint +3 of 3 events, signed (now|\d+ s ago)$", shown, re.MULTILINE)
    assert re.search(r"^not signed +0 events$", shown, re.MULTILINE)
    assert re.search(
        r"^signer +stopped \(gap, since (now|\d+ s ago)\): the event 3 is missing. Do this.$", shown, re.MULTILINE
    )
    assert re.search(r"^outside: hook +has the checkpoint of 2 events, 9 min ago$", shown, re.MULTILINE)


@pytest.fixture
def app(trail: SignedTrail, database_url: str) -> Iterator[Flask]:
    app = create_app(
        {"AUDIT_DATABASE_URL": database_url, "AUDIT_SECRET_KEY": SECRET_KEY, "AUDIT_DATA_DIR": str(trail.folder)}
    )
    yield app
    LoginAudit.close(app)


def test_a_stopped_signer_makes_the_service_degraded_and_not_unready(app: Flask, trail: SignedTrail) -> None:
    log = trail.start()
    trail.sign()
    confirm(trail, "w.example/a", 1, datetime.now(UTC) - HOUR, "line")
    with trail.database.write() as connection:
        note_problem(connection, log.log_id, "foreign_key", "the key in '/secret/place' is another one's")
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "degraded")
    part = answer.get_json()["log"]
    assert 0 <= part.pop("checkpoint_age") < 60
    assert 3600 <= part.pop("confirmation_age") < 3660
    assert part == {"state": "stopped", "problem": "foreign_key", "unsigned": 0, "oldest_unsigned_age": None}
    assert "/secret/place" not in answer.get_data(as_text=True)
    assert "w.example" not in answer.get_data(as_text=True)


def test_a_signer_at_work(app: Flask, trail: SignedTrail) -> None:
    trail.start()
    trail.sign()
    LoginFactory.create()
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "ready")
    part = answer.get_json()["log"]
    assert 0 <= part["oldest_unsigned_age"] < 60
    assert (part["state"], part["problem"], part["unsigned"]) == ("signing", None, 1)
    assert part["confirmation_age"] is None


def test_nobody_signs(app: Flask, trail: SignedTrail, monkeypatch: pytest.MonkeyPatch) -> None:
    trail.start()
    monkeypatch.setattr("audit_service.operations.log_state.GRACE", timedelta(seconds=-1000))
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "degraded")
    assert answer.get_json()["log"]["state"] == "behind"
