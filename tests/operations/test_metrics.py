"""``GET /metrics``: what Prometheus reads of the trail, its log and the spool."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, text

from audit_service.proving.confirmations import Confirmation, store_confirmation
from audit_service.proving.log import note_problem
from audit_service.vocabulary import Role
from tests.factories import LoginFactory
from tests.support.accounts import PASSWORD
from tests.support.reader import Reader
from tests.support.signed_trail import SignedTrail


@pytest.fixture
def trail(app: Flask, database_url: str, tmp_path: Path) -> Iterator[SignedTrail]:
    with closing(SignedTrail(database_url, tmp_path / "signer")) as trail:
        yield trail


def read(reader: Reader) -> dict[tuple[str, str], float]:
    """Return the values by the names of the metrics and of those outside, as Prometheus' own parser has them."""
    answer = reader.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.content_type.startswith("text/plain; version=")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        assert (family.type, family.documentation[-1]) == ("gauge", "."), family.name
        for sample in family.samples:
            found[sample.name, sample.labels.get("name", "")] = sample.value
    return found


def test_a_trail_without_a_log(reader: Reader) -> None:
    LoginFactory.create_batch(2)
    found = read(reader)
    assert found.pop(("audit_trail_events", "")) >= 2
    assert found == {("audit_spool_events", ""): 0}


def test_a_log_that_nobody_outside_has(reader: Reader, trail: SignedTrail) -> None:
    LoginFactory()
    size = trail.sign().size
    LoginFactory()
    found = read(reader)
    assert found["audit_trail_events", ""] > found["audit_log_signed_events", ""] == size
    assert 0 <= found["audit_log_checkpoint_age_seconds", ""] < 60
    assert 0 <= found["audit_log_oldest_unsigned_age_seconds", ""] < 60
    assert found["audit_log_signer_stopped", ""] == 0
    assert not any("confirm" in name for name, _ in found)


def test_who_has_checkpoints_outside(reader: Reader, trail: SignedTrail) -> None:
    trail.sign()
    now = datetime.now(UTC)
    with trail.database.write() as connection:
        for name, size, hours in (("hook", 1, 5), ("hook", 2, 2), ('w.example/"a"', 1, 3)):
            confirmation = Confirmation(name, size, now - timedelta(hours=hours), None)
            store_confirmation(connection, trail.log().log_id, confirmation)
    found = read(reader)
    assert found["audit_log_confirmed_events", "hook"] == 2
    assert found["audit_log_confirmed_events", 'w.example/"a"'] == 1
    assert 7200 <= found["audit_log_confirmation_age_seconds", "hook"] < 7260
    assert 10800 <= found["audit_log_confirmation_age_seconds", 'w.example/"a"'] < 10860


def test_a_signer_that_has_stopped(reader: Reader, trail: SignedTrail) -> None:
    log = trail.start()
    with trail.database.write() as connection:
        note_problem(connection, log.log_id, "gap", "the event 3 is missing in '/secret/place'")
    assert read(reader)["audit_log_signer_stopped", ""] == 1
    assert "/secret/place" not in reader.get("/metrics").text


def test_who_may_read_metrics(app: Flask, client: FlaskClient, accounts: dict[Role, str], engine: Engine) -> None:
    answer = client.get("/metrics")
    assert (answer.status_code, answer.headers["WWW-Authenticate"].split()[0]) == (401, "Bearer")
    for role, status in ((Role.USER, 403), (Role.AUDITOR, 200)):
        person = app.test_client()
        person.post("/login/", data={"username": accounts[role], "password": PASSWORD})
        assert person.get("/metrics").status_code == status
    with engine.connect() as connection:
        looks = connection.execute(text("SELECT count(*) FROM admin_events WHERE action = 'history_read'")).scalar()
    assert looks == 0  # no event is told


def test_a_database_that_cannot_serve(reader: Reader, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE trail_log RENAME TO elsewhere"))
    answer = reader.get("/metrics")
    assert (answer.status_code, answer.content_type) == (503, "application/problem+json")


def test_a_host_has_no_metrics_of_ours(host: Flask) -> None:
    assert not [rule for rule in host.url_map.iter_rules() if rule.rule.endswith("/metrics")]
