"""What pages tell of the log."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from audit_service.pages import proofs
from audit_service.proving.log import note_problem
from audit_service.vocabulary import Role
from tests.factories import ErrorFactory, LoginFactory
from tests.support.logins import BROWSER, log_in
from tests.support.signed_trail import SignedTrail


@pytest.fixture
def trail(app: Flask, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SignedTrail]:
    monkeypatch.setattr(proofs, "GOOD_FOR", -1)
    made = SignedTrail(database_url, tmp_path / "signer")
    yield made
    made.close()


@pytest.fixture
def auditor(client: FlaskClient, accounts: dict[Role, str]) -> FlaskClient:
    log_in(client, "auditor")
    return client


def page(client: FlaskClient, path: str) -> str:
    answer = client.get(path, headers=BROWSER)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_a_trail_without_a_log_says_nothing_of_proofs(trail: SignedTrail, auditor: FlaskClient) -> None:
    event = LoginFactory.create()
    for path in ("/logins/", "/changes/", f"/logins/{event.id}"):
        assert "roven" not in page(auditor, path)
        assert "signed" not in page(auditor, path)


def test_an_event_says_since_when_it_is_proven(trail: SignedTrail, auditor: FlaskClient) -> None:
    login, error = LoginFactory.create(), ErrorFactory.create()
    trail.start()
    paths = (f"/logins/{login.id}", f"/errors/{error.fingerprint}/{error.id}")
    for path in paths:
        assert "Not signed yet." in page(auditor, path)
    size = trail.sign().size
    LoginFactory.create()
    trail.sign()
    with trail.database.write() as connection:
        values = {"log": trail.log().log_id, "size": size, "name": "witness.example"}
        insert = "INSERT INTO trail_confirmations (log_id, size, name, confirmed_at) VALUES (:log, :size, :name, "
        connection.execute(text(f"{insert} CURRENT_TIMESTAMP)"), values)
    for path in paths:
        shown = page(auditor, path)
        assert f'Proven: in checkpoint {size}, signed <time datetime="' in shown
        assert 'Confirmed by witness.example, <time datetime="' in shown
        assert '/proof">Proof</a>' in shown
    shown = page(auditor, "/logins/")
    assert f'Proven up to event {trail.newest().size}, signed <time datetime="' in shown
    assert 'Last confirmed from outside by witness.example, <time datetime="' in shown


def test_a_stop_of_the_signer_is_shouted(trail: SignedTrail, auditor: FlaskClient) -> None:
    trail.start()
    trail.sign()
    with trail.database.write() as connection:
        note_problem(connection, trail.log().log_id, "fork", "the tree is <another>")
    for path in ("/logins/", "/errors/", "/changes/"):
        shown = page(auditor, path)
        assert "The signer has stopped" in shown
        assert "the tree is &lt;another&gt;" in shown


def test_events_that_wait_for_long_are_told(trail: SignedTrail, auditor: FlaskClient) -> None:
    trail.start()
    trail.sign()
    event = LoginFactory.create()
    assert "have waited for their signature" not in page(auditor, "/logins/")
    with trail.tampering() as connection:  # the clock of the database cannot be set back
        connection.execute(text("UPDATE login_events SET recorded_at = '2026-01-01 00:00:00.000000'"))
    assert "have waited for their signature since 2026-01-01" in page(auditor, f"/logins/?username={event.username}")
