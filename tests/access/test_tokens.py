"""Tokens."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from audit_service.access.tokens import KNOWN_LIMIT, KnownTokens, add_token, find_token, list_tokens, revoke_token
from audit_service.app import db
from audit_service.errors import AccountError
from audit_service.vocabulary import Scope
from tests.support.accounts import ACTOR


def test_only_the_hash_is_stored(engine: Engine) -> None:
    with Session(engine) as session:
        token = add_token(session, "poller", Scope.READ, by=ACTOR)
        assert token.startswith("aud_")
        (stored,) = list_tokens(session)
        assert token[4:] not in "".join(str(value) for value in vars(stored).values())
        found = find_token(session, token, Scope.READ)
        assert found is not None
        assert found.name == "poller"
        for other in ("", "aud_", token[:-1], token + "x", "\ud800"):
            assert find_token(session, other, Scope.READ) is None


def test_a_revoked_token_is_worthless_for_good(engine: Engine) -> None:
    with Session(engine) as session:
        token = add_token(session, "poller", Scope.READ, by=ACTOR)
        revoke_token(session, "poller", by=ACTOR)
        assert find_token(session, token, Scope.READ) is None
        (stored,) = list_tokens(session)
        first = stored.revoked_at
        revoke_token(session, "poller", by=ACTOR)
        assert stored.revoked_at == first


def test_errors(engine: Engine) -> None:
    with Session(engine) as session:
        add_token(session, "poller", Scope.READ, by=ACTOR)
        with pytest.raises(AccountError, match="choose another name"):
            add_token(session, "poller", Scope.READ, by=ACTOR)
        with pytest.raises(AccountError, match="there is no token 'other'"):
            revoke_token(session, "other", by=ACTOR)
        with pytest.raises(AccountError, match="a token's name must be"):
            add_token(session, "a\x00", Scope.READ, by=ACTOR)


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "a\nb", "\ud800"])
@pytest.mark.parametrize("backend", ["sqlite"])  # refused before any database is asked
def test_unfit_names(engine: Engine, name: str) -> None:
    with Session(engine) as session:
        with pytest.raises(AccountError, match="a token's name must be"):
            add_token(session, name, Scope.READ, by=ACTOR)
        assert list_tokens(session) == []


def test_a_name_is_taken_for_good(engine: Engine) -> None:
    with Session(engine) as session:
        add_token(session, "poller", Scope.READ, by=ACTOR)
        revoke_token(session, "poller", by=ACTOR)
        session.commit()
        with pytest.raises(AccountError, match="there is, or was, a token 'poller'"):
            add_token(session, "poller", Scope.REPORT, by=ACTOR)


NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_token_expires(engine: Engine) -> None:
    with Session(engine) as session, time_machine.travel(NOON, tick=False) as clock:
        token = add_token(session, "poller", Scope.READ, by=ACTOR, expires_at=NOON + HOUR)
        forever = add_token(session, "forever", Scope.READ, by=ACTOR)
        session.commit()
        valid = []
        for passed in (timedelta(), HOUR - timedelta(microseconds=1), HOUR, 2 * HOUR):
            clock.move_to(NOON + passed)
            session.expire_all()
            valid.append(find_token(session, token, Scope.READ) is not None)
            assert find_token(session, forever, Scope.READ)
        assert valid == [True, True, False, False]


@pytest.mark.parametrize("expires_at", [NOON - HOUR, NOON])
def test_a_token_must_expire_in_the_future(engine: Engine, expires_at: datetime) -> None:
    with Session(engine) as session, time_machine.travel(NOON, tick=False):
        with pytest.raises(AccountError, match="must expire in the future"):
            add_token(session, "poller", Scope.READ, by=ACTOR, expires_at=expires_at)
        assert list_tokens(session) == []


@pytest.mark.parametrize("scope", Scope)
def test_a_scope_does_not_open_another(engine: Engine, scope: Scope) -> None:
    with Session(engine) as session:
        token = add_token(session, "one", scope, by=ACTOR)
        assert [each for each in Scope if find_token(session, token, each)] == [scope]


@pytest.fixture
def known(engine: Engine) -> tuple[KnownTokens, list[str]]:
    """Two that report: one for half an hour, and one without an end."""
    known = KnownTokens()
    with Session(engine) as session, time_machine.travel(NOON, tick=False):
        tokens = [
            add_token(session, name, Scope.REPORT, by=ACTOR, expires_at=end)
            for name, end in (("short", NOON + HOUR / 2), ("long", None))
        ]
        for token in tokens:
            found = find_token(session, token, Scope.REPORT)
            assert found
            known.remember(token, Scope.REPORT, found)
    return known, tokens


def test_a_token_is_known_for_an_hour(known: tuple[KnownTokens, list[str]]) -> None:
    tokens, presented = known
    second = timedelta(seconds=1)
    for passed, names in (
        (timedelta(), ["short", "long"]),
        (HOUR / 2 - second, ["short", "long"]),
        (HOUR / 2, [None, "long"]),
        (HOUR - second, [None, "long"]),
        (HOUR, [None, None]),
    ):
        with time_machine.travel(NOON + passed, tick=False):
            assert [tokens.name_of(token, Scope.REPORT) for token in presented] == names


def test_a_token_is_known_for_its_scope_and_until_it_is_not_good(known: tuple[KnownTokens, list[str]]) -> None:
    tokens, (short, long) = known
    with time_machine.travel(NOON, tick=False):
        assert tokens.name_of(short, Scope.READ) is None
        assert [tokens.name_of(other, Scope.REPORT) for other in ("", short[:-1], long + "x", "\ud800")] == [None] * 4
        tokens.forget(short, Scope.REPORT)
        assert [tokens.name_of(token, Scope.REPORT) for token in (short, long)] == [None, "long"]


def test_few_tokens_are_known_and_none_as_it_is(engine: Engine, known: tuple[KnownTokens, list[str]]) -> None:
    tokens, (short, long) = known
    assert short not in str(vars(tokens))
    assert long not in str(vars(tokens))
    with Session(engine) as session, time_machine.travel(NOON, tick=False):
        found = find_token(session, add_token(session, "other", Scope.REPORT, by=ACTOR), Scope.REPORT)
        assert found
        for n in range(KNOWN_LIMIT - 1):
            tokens.remember(str(n), Scope.REPORT, found)
        assert [tokens.name_of(token, Scope.REPORT) for token in (short, long, "0")] == [None, "long", "other"]


def test_scopes_on_the_routes(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        tokens = {scope: add_token(db.session(), scope.value, scope, by=ACTOR) for scope in Scope}
        db.session.commit()
    statuses = {}
    for scope, token in tokens.items():
        headers = {"Authorization": f"Bearer {token}"}
        reads = [
            client.get(f"/api/{path}", headers=headers).status_code for path in ("logins", "errors", "admin-events")
        ]
        reported = client.post("/login/", json={"username": "ada", "outcome": "success"}, headers=headers)
        statuses[scope] = [*reads, reported.status_code]
    assert statuses == {Scope.READ: [200, 200, 200, 401], Scope.REPORT: [401, 401, 401, 200]}


def test_the_last_use_is_known_to_the_minute(app: Flask, client: FlaskClient, token: dict[str, str]) -> None:
    def last_use() -> datetime | None:
        with app.app_context():
            (stored,) = list_tokens(db.session())
            return stored.last_used_at

    assert last_use() is None
    with time_machine.travel(NOON, tick=False) as clock:
        seen = []
        for seconds in (0, 1, 59, 1, 30, 31):  # at 0, 1, 60, 61, 91, 122
            clock.shift(seconds)
            assert client.get("/api/logins", headers=token).status_code == 200
            last = last_use()
            assert last is not None
            seen.append(int((last - NOON).total_seconds()))
            assert datetime.now(UTC) - last <= timedelta(minutes=1)
    assert seen == [0, 0, 0, 61, 61, 122]


def test_what_is_refused_is_no_use(app: Flask, client: FlaskClient, token: dict[str, str]) -> None:
    assert client.post("/login/", json={"username": "ada", "outcome": "success"}, headers=token).status_code == 401
    with app.app_context():
        assert [stored.last_used_at for stored in list_tokens(db.session())] == [None]
