"""``GET /readyz``: can this process do its work, and if not, why."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, text

from audit_service import LoginAudit, create_app, receivers
from audit_service.app import db
from audit_service.context import context_of
from audit_service.errors import NotConfiguredError
from audit_service.operations import readiness
from audit_service.signals import login_signal
from audit_service.storage import schema
from audit_service.storage.outages import MIGRATE
from audit_service.trail.spool import Spool
from tests.factories import LoginFactory
from tests.support.apps import SECRET_KEY
from tests.support.fault_tools import wait_for_empty_spool


def test_ready(client: FlaskClient) -> None:
    LoginFactory.create_batch(3)
    answer = client.get("/readyz")
    newest = schema.newest_revision()
    assert answer.status_code == 200
    assert answer.get_json() == {
        "status": "ready",
        "database": "ok",
        "revision": newest,
        "newest_revision": newest,
        "trail": "ok",
        "log": "none",
        "spool": {"length": 0, "oldest_age": None, "rejected": 0, "foreign": 0},
        "recorder": {
            "queued": 0,
            "recorded": 3,
            "spooled": 0,
            "replayed": 0,
            "refused": 0,
            "excluded": 0,
            "batches": 3,
            "largest_batch": 1,
        },
    }


@pytest.fixture
def unmigrated(empty_database_url: str, tmp_path: Path) -> Iterator[Flask]:
    config = {"AUDIT_DATABASE_URL": empty_database_url, "AUDIT_SECRET_KEY": SECRET_KEY}
    app = create_app({**config, "AUDIT_DATA_DIR": str(tmp_path), "AUDIT_WRITE_TIMEOUT": 0.5})
    yield app
    LoginAudit.close(app)


def test_a_database_that_is_not_migrated_and_what_waits_for_it(unmigrated: Flask) -> None:
    with unmigrated.app_context():
        login_signal.send(unmigrated, username="ada")
    answer = unmigrated.test_client().get("/readyz")
    state = answer.get_json()
    assert answer.status_code == 503
    assert (state["status"], state["database"], state["revision"]) == ("not ready", "not migrated", None)
    assert state["spool"]["length"] == state["recorder"]["spooled"] == 1
    assert 0 <= state["spool"]["oldest_age"] < 60


NEWEST = schema.newest_revision()
REMEDIES = {
    None: f"the database is at revision (none), this program needs {NEWEST}: run {MIGRATE}",
    "0003": f"the database is at revision 0003, this program needs {NEWEST}: run {MIGRATE}",
    "9999": f"the database is at revision 9999, which this program does not know (it needs {NEWEST}): "
    "run the version of audit-service that has migrated it",
}


@pytest.mark.parametrize("revision", REMEDIES)
def test_another_revision_is_said_at_the_start_and_in_the_answers(
    unmigrated: Flask, revision: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    if revision:
        with unmigrated.app_context():
            schema.migrate(db.engine)
            with db.engine.begin() as connection:
                connection.execute(text("UPDATE audit_alembic_version SET version_num = :new"), {"new": revision})
    client = unmigrated.test_client()
    for _ in range(2):
        state = client.get("/readyz").get_json()
        assert (state["database"], state["revision"], state["remedy"]) == ("not migrated", revision, REMEDIES[revision])
    with unmigrated.app_context():
        login_signal.send(unmigrated, username="ada")
    context_of(unmigrated).recorder.stop()  # after its first look
    target = context_of(unmigrated).recorder.identity.target
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert said == [f"{target}: {REMEDIES[revision]}"]


def test_a_database_whose_revision_cannot_be_read(client: FlaskClient, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE audit_alembic_version RENAME version_num TO number"))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["database"]) == (503, "not migrated")
    assert "run 'audit-service migrate'" in answer.get_json()["remedy"]


def test_without_tables_every_answer_says_what_to_do(unmigrated: Flask) -> None:
    client = unmigrated.test_client()
    for answer in (
        client.get("/api/logins", headers={"Authorization": "Bearer aud_x"}),
        client.post("/login/", data={"username": "ada", "password": "correct horse battery"}),
    ):
        assert answer.status_code == 503
        assert "run 'audit-service migrate'" in answer.get_json()["detail"]


def test_without_a_spool_a_login_that_cannot_be_recorded_says_why(empty_database_url: str, tmp_path: Path) -> None:
    config = {"AUDIT_DATABASE_URL": empty_database_url, "AUDIT_SECRET_KEY": SECRET_KEY, "AUDIT_DATA_DIR": str(tmp_path)}
    app = create_app({**config, "AUDIT_LOGIN": "passwordless", "AUDIT_SPOOL": "off", "AUDIT_WRITE_TIMEOUT": 1})
    answer = app.test_client().post("/login/", data={"username": "ada"})
    assert (answer.status_code, answer.get_json()["detail"]) == (503, REMEDIES[None])
    LoginAudit.close(app)


def test_without_a_spool_a_trail_that_refuses_is_not_ready(app: Flask, client: FlaskClient) -> None:
    recorder = context_of(app).recorder
    recorder.spool_path, recorder.timeout = None, 1.0
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(text("ALTER TABLE trail_head RENAME TO elsewhere"))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["database"], answer.get_json()["trail"]) == (503, "ok", "away")


def test_any_request_sets_the_replay_going(app: Flask, config: dict[str, object]) -> None:
    path = Path(str(config["AUDIT_DATA_DIR"])) / "spool.db"
    Spool(path).add([LoginFactory.build()], float("1e12"))
    app.test_client().get("/healthz")
    wait_for_empty_spool(path)


def test_a_spool_that_cannot_be_used_is_said(
    app: Flask, config: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    """To everybody; why, and where it is, to those who read the log."""
    path = Path(str(config["AUDIT_DATA_DIR"])) / "spool.db"
    path.mkdir()
    assert app.test_client().get("/readyz").get_json()["spool"] == "cannot be used"
    assert (
        f"the spool cannot be used: cannot open {path}: it is no file; the spool is in the data folder" in caplog.text
    )


def test_the_answer_is_made_once_a_second(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    first = client.get("/readyz").get_json()
    LoginFactory()
    assert client.get("/readyz").get_json() == first
    last = client.application.extensions[readiness.LAST]
    monkeypatch.setattr(last, "good_until", 0.0)  # the second is over
    assert client.get("/readyz").get_json()["recorder"]["recorded"] == first["recorder"]["recorded"] + 1


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_database_file_that_is_moved_away_is_not_ready(client: FlaskClient, database_url: str) -> None:
    LoginFactory()
    path = Path(database_url.removeprefix("sqlite:///"))
    path.rename(path.with_name("moved.db"))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["database"]) == (503, "away")
    assert not path.exists()


def test_the_service_does_not_start_with_a_receiver_missing(
    config: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    login_signal.disconnect(receivers.on_login)
    monkeypatch.setattr(receivers, "connect", lambda: None)
    try:
        with pytest.raises(NotConfiguredError, match="audit receiver on_login is not connected"):
            create_app(config)
    finally:
        monkeypatch.undo()
        receivers.connect()
