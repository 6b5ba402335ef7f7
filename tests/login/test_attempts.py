"""What somebody who guesses passwords meets: waits, one answer for all, and no way around."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from argon2 import PasswordHasher, extract_parameters
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from audit_service import LoginAudit, create_app
from audit_service.access.accounts import add_account, disable, get_account, set_password
from audit_service.access.passwords import hash_password, needs_rehash
from audit_service.access.throttle import RECORDED, lift
from audit_service.app import db
from audit_service.context import context_of, write_session
from audit_service.errors import AccountError
from audit_service.events import usernames
from audit_service.login.attempts import LIFTS_KNOWN_FOR
from audit_service.storage.models import Account, RefusedAttempts
from audit_service.values import limits
from audit_service.vocabulary import Reason, Role
from tests.factories import LoginFactory, SaveThrough
from tests.support.accounts import ACTOR, PASSWORD
from tests.support.logins import BROWSER, logins

FREE = 3  # failures of a name that nobody has to wait after, with the default settings
WRONG_CREDENTIALS = "wrong username or password"
HERE, NEIGHBOUR, ELSEWHERE = "192.0.2.7", "192.0.2.99", "198.51.100.7"


def attempt(
    client: FlaskClient, username: str = "user", password: str = "wrong", address: str = HERE, **more: Any
) -> TestResponse:
    fields = {"username": username, "password": password}
    return client.post("/login/", data=fields, environ_overrides={"REMOTE_ADDR": address}, **more)


def attempts(client: FlaskClient, count: int, username: str = "user", **more: Any) -> list[int]:
    return [attempt(client, username, **more).status_code for _ in range(count)]


def reasons(app: Flask) -> list[str | None]:
    """Oldest first."""
    return [item.reason for item in reversed(logins(app))]


def counts_of(app: Flask) -> dict[tuple[str, str], int]:
    """The refused attempts that are counted, by network and name."""
    with app.app_context():
        rows = db.session.scalars(select(RefusedAttempts))
        return {(row.network, row.username): row.count for row in rows}


@contextlib.contextmanager
def running(config: dict[str, object], **settings: object) -> Iterator[FlaskClient]:
    """The client of an app with these settings and the account "user"."""
    app = create_app({**config, **{f"AUDIT_{name.upper()}": value for name, value in settings.items()}})
    with app.app_context(), Session(context_of(app).writer) as session, session.begin():
        if not session.scalar(select(Account)):
            add_account(session, "user", Role.USER, PASSWORD, by=ACTOR)
    with SaveThrough(context_of(app).recorder):
        yield app.test_client()
    LoginAudit.close(app)


def app_of(client: FlaskClient) -> Flask:
    app = client.application
    assert isinstance(app, Flask)
    return app


@pytest.fixture
def config(config: dict[str, object]) -> dict[str, object]:
    """With time for many attempts at once: how long one waits for its turn is no matter here."""
    return {**config, "AUDIT_WRITE_TIMEOUT": 20}


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """The hashes and passwords that were compared."""
    calls: list[tuple[str, bytes]] = []
    verify = PasswordHasher.verify

    def noted(self: PasswordHasher, password_hash: str, password: bytes) -> bool:
        calls.append((password_hash, password))
        return verify(self, password_hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", noted)
    return calls


@pytest.mark.usefixtures("accounts")
def test_after_three_failures_one_has_to_wait(app: Flask, client: FlaskClient) -> None:
    assert attempts(client, FREE) == [401] * FREE
    answer = attempt(client)
    assert (answer.status_code, answer.content_type) == (429, "application/problem+json")
    seconds = int(answer.headers["Retry-After"])
    assert 1 <= seconds <= 8
    assert answer.json == {
        "type": "/api/problems/too-many-failures",
        "title": "Too Many Requests",
        "status": 429,
        "detail": f"too many failed attempts; please try again in {seconds} second{'s' if seconds > 1 else ''}",
    }
    assert "Set-Cookie" not in answer.headers
    refused = logins(app)[0]
    assert (refused.reason, refused.username, refused.network, refused.method, refused.details) == (
        "throttled",
        "user",
        "192.0.2.0/24",
        "password",
        None,
    )


@pytest.mark.usefixtures("accounts")
def test_a_browser_gets_a_page_that_says_when(client: FlaskClient) -> None:
    attempts(client, FREE)
    answer = attempt(client, headers=BROWSER)
    assert (answer.status_code, answer.mimetype) == (429, "text/html")
    assert 1 <= int(answer.headers["Retry-After"]) <= 8
    assert "too many failed attempts" in answer.text
    assert 'value="user"' in answer.text


@pytest.mark.usefixtures("accounts")
def test_the_right_password_is_refused_while_one_has_to_wait(
    client: FlaskClient, verified: list[tuple[str, bytes]]
) -> None:
    attempts(client, FREE)
    compared = len(verified)
    wrong, right = attempt(client), attempt(client, password=PASSWORD)
    assert (wrong.status_code, right.status_code) == (429, 429)
    assert "Set-Cookie" not in right.headers
    assert len(verified) == compared
    later = datetime.now(UTC) + timedelta(seconds=int(right.headers["Retry-After"]))
    with time_machine.travel(later):
        assert attempt(client, password=PASSWORD).status_code == 200


@pytest.mark.usefixtures("accounts")
def test_the_owner_on_another_network_gets_in(client: FlaskClient) -> None:
    assert attempts(client, FREE + 3)[-3:] == [429] * 3
    assert attempt(client, password=PASSWORD, address=NEIGHBOUR).status_code == 429
    assert attempt(client, password=PASSWORD, address=ELSEWHERE).status_code == 200
    assert attempt(client, "admin", password=PASSWORD, address=NEIGHBOUR).status_code == 200


@pytest.mark.usefixtures("accounts")
def test_a_whole_network_is_refused(config: dict[str, object]) -> None:
    with running(config, throttle_network_limit=4, throttle_window=20) as client:
        names = ["user", "a", "b", "c"]
        assert [attempt(client, name).status_code for name in names] == [401, 401, 429, 429]
        assert attempt(client, password=PASSWORD, address=NEIGHBOUR).status_code == 429
        assert attempt(client, password=PASSWORD, address=ELSEWHERE).status_code == 200


@pytest.mark.usefixtures("accounts")
def test_known_and_unknown_names_get_the_same_answers(client: FlaskClient) -> None:
    """Whatever the wait: only the header differs by the time between two requests."""
    start = datetime.now(UTC)
    told: dict[str, list[tuple[int, str, str]]] = {"user": [], "nobody": []}
    for seconds in [0, 1, 2, 3, 4, 12, 13, 30, 40, 70, 200, 201, 500, 900, 1000, 1500]:
        for name, address in (("user", HERE), ("nobody", ELSEWHERE)):
            with time_machine.travel(start + timedelta(seconds=seconds), tick=False):
                answer = attempt(client, name, address=address)
            told[name].append((answer.status_code, answer.text, answer.headers.get("Retry-After", "")))
    assert told["user"] == told["nobody"]
    assert {status for status, *_ in told["user"]} == {401, 429}


@pytest.mark.usefixtures("accounts")
def test_the_wait_that_is_told_is_long_enough(client: FlaskClient) -> None:
    """Who comes back when told to is not refused again."""
    now = datetime.now(UTC)
    refused_again = []
    for n in range(FREE + 12):
        with time_machine.travel(now, tick=False):
            answer = attempt(client, "nobody")
            if answer.status_code == 429:
                now += timedelta(seconds=int(answer.headers["Retry-After"]))
        with time_machine.travel(now, tick=False):
            if answer.status_code == 429 and attempt(client, "nobody").status_code == 429:
                refused_again.append(n)
    assert not refused_again


@pytest.mark.parametrize("username", ["user", "nobody"])
@pytest.mark.usefixtures("accounts")
def test_attempts_at_the_same_time_do_not_pass_the_throttle_together(
    app: Flask, verified: list[tuple[str, bytes]], username: str
) -> None:
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda client: attempt(client, username), [app.test_client() for _ in range(20)]))
    assert Counter(answer.status_code for answer in answers) == {401: FREE, 429: 20 - FREE}
    assert len(verified) == FREE


@pytest.mark.usefixtures("accounts")
def test_a_stolen_session_does_not_guess_the_password_faster(
    app: Flask, client: FlaskClient, verified: list[tuple[str, bytes]]
) -> None:
    attempt(client, password=PASSWORD)
    cookie = client.get_cookie("audit_session")
    assert cookie is not None
    verified.clear()
    fields = {"current_password": "wrong", "new_password": "another correct horse"}

    def guess(thief: FlaskClient) -> int:
        thief.set_cookie("audit_session", cookie.value)
        changed = thief.post("/account/password/", data=fields, environ_overrides={"REMOTE_ADDR": HERE})
        return changed.status_code

    with ThreadPoolExecutor(10) as threads:
        statuses = list(threads.map(guess, [app.test_client() for _ in range(10)]))
    assert len(verified) == FREE
    assert Counter(statuses) == {401: FREE, 429: 10 - FREE}


def test_a_flood_is_counted_and_not_recorded(config: dict[str, object]) -> None:
    with running(config, throttle_name_limit=1) as client:
        assert attempts(client, 1 + RECORDED + 15) == [401] + [429] * (RECORDED + 15)
        app = app_of(client)
        assert reasons(app) == ["bad_password"] + ["throttled"] * RECORDED
        assert counts_of(app) == {("192.0.2.0/24", "user"): 15}
        assert attempts(client, RECORDED + 2, "nobody", address=ELSEWHERE) == [401] + [429] * (RECORDED + 1)
        assert counts_of(app) == {("192.0.2.0/24", "user"): 15, ("198.51.100.0/24", "nobody"): 1}


def test_a_flood_under_many_names_is_counted_together(config: dict[str, object]) -> None:
    with running(config, throttle_network_limit=1) as client:
        names = [f"name-{n}" for n in range(1 + RECORDED + 15)]
        answers = [attempt(client, name) for name in names]
        assert [answer.status_code for answer in answers] == [401] + [429] * (RECORDED + 15)
        app = app_of(client)
        assert [item.username for item in reversed(logins(app))] == names[: 1 + RECORDED]
        assert counts_of(app) == {("192.0.2.0/24", "*"): 15}
    with running(config, throttle_network_limit=1) as client:  # another process counts on
        assert attempts(client, 2) == [429, 429]
        assert counts_of(app_of(client)) == {("192.0.2.0/24", "*"): 17}


@pytest.mark.parametrize("limit", ["throttle_name_limit", "throttle_network_limit"])
def test_a_lift_ends_a_refusal_that_a_process_remembers(config: dict[str, object], limit: str) -> None:
    with running(config, **{limit: 1}) as client, time_machine.travel(datetime.now(UTC), tick=False) as clock:
        assert attempts(client, 1 + RECORDED + 2) == [401] + [429] * (RECORDED + 2)
        clock.shift(timedelta(seconds=1))
        with app_of(client).app_context(), write_session() as session:
            lift(session, get_account(session, "user"), HERE, by=ACTOR)
        assert attempts(client, 1) == [429]  # it has asked a moment ago
        clock.shift(LIFTS_KNOWN_FOR)
        assert attempts(client, 1, "nobody") == [429 if limit == "throttle_network_limit" else 401]
        assert attempt(client, password=PASSWORD).status_code == 200
        assert attempts(client, 2) == [401, 429]  # the next failure counts again


def test_a_flood_in_parallel_does_not_open_the_door_again(config: dict[str, object], engine: Engine) -> None:
    """However many refusals are recorded by threads that refuse at the same time."""
    with running(config, throttle_network_limit=1, throttle_name_limit=1) as client:
        app = app_of(client)
        with ThreadPoolExecutor(32) as threads:
            clients = [app.test_client() for _ in range(200)]
            answers = [answer.status_code for answer in threads.map(attempt, clients)]
        assert Counter(answers) == {401: 1, 429: 199}
        single = reasons(app).count("throttled")
        assert single + sum(counts_of(app).values()) == 199
        assert RECORDED <= single <= RECORDED + 32


def test_a_name_that_stands_for_others_stands_for_itself_when_typed(config: dict[str, object]) -> None:
    """Who types "*" does not keep the others of the network out."""
    with running(config, throttle_name_limit=1) as client:
        assert attempts(client, RECORDED + 3, "*") == [401] + [429] * (RECORDED + 2)
        assert attempt(client, password=PASSWORD, address=NEIGHBOUR).status_code == 200


def test_a_name_in_another_form_is_the_same_name(config: dict[str, object]) -> None:
    """Each way to type the name of an account counts for the account."""
    name, typed = "\u00e9" * 200, "e\u0301" * 200
    with running(config) as client:
        with app_of(client).app_context():
            add_account(db.session(), name, Role.USER, PASSWORD, by=ACTOR)
            db.session.commit()
        assert attempts(client, FREE + 1, typed) == [401] * FREE + [429]
        assert {item.username for item in logins(app_of(client))} == {name}


def add_disabled(app: Flask) -> None:
    with app.app_context():
        disable(db.session(), add_account(db.session(), "gone", Role.USER, PASSWORD, by=ACTOR), by=ACTOR)
        db.session.commit()


FAILING = {
    "unknown": ("nobody", PASSWORD, "unknown_user"),
    "unfit name": ("a\x00b", PASSWORD, "unknown_user"),
    "wrong": ("user", "wrong", "bad_password"),
    "empty": ("user", "", "bad_password"),
    "nobody's empty": ("nobody", "", "unknown_user"),
    "over-long": ("user", "x" * 50_000, "bad_password"),
    "right and more": ("user", PASSWORD.ljust(limits.PASSWORD_MAX + 1), "bad_password"),
    "surrogate": ("user", "\ud800", "bad_password"),
    "disabled": ("gone", PASSWORD, "inactive"),
    "disabled and wrong": ("gone", "wrong", "bad_password"),
}


@pytest.mark.parametrize("kind", FAILING)
@pytest.mark.usefixtures("accounts")
def test_whatever_is_wrong_the_answer_and_the_work_are_the_same(
    app: Flask, client: FlaskClient, verified: list[tuple[str, bytes]], kind: str
) -> None:
    username, password, reason = FAILING[kind]
    add_disabled(app)
    answer = client.post("/login/", json={"username": username, "password": password})
    assert (answer.status_code, answer.get_json()["detail"]) == (401, WRONG_CREDENTIALS)
    assert "Set-Cookie" not in answer.headers
    assert "Retry-After" not in answer.headers
    ((password_hash, compared),) = verified
    assert extract_parameters(password_hash) == extract_parameters(hash_password("any"))
    assert len(compared) <= limits.PASSWORD_MAX + 1
    assert reasons(app) == [reason]


@pytest.mark.usefixtures("accounts")
def test_a_disabled_account_is_throttled_like_any_other(app: Flask, client: FlaskClient) -> None:
    add_disabled(app)
    assert attempts(client, FREE + 1, "gone", password=PASSWORD) == [401] * FREE + [429]
    assert reasons(app) == ["inactive"] * FREE + ["throttled"]


def set_hash(app: Flask, password_hash: str) -> None:
    with app.app_context():
        db.session.execute(update(Account).where(Account.username == "user").values(password_hash=password_hash))
        db.session.commit()


def hash_of(app: Flask, username: str = "user") -> str:
    with app.app_context():
        return get_account(db.session(), username).password_hash


WEAK = PasswordHasher(memory_cost=1024, time_cost=1, parallelism=2)


@pytest.mark.usefixtures("accounts")
def test_a_hash_with_old_parameters_is_renewed_by_a_success_only(app: Flask, client: FlaskClient) -> None:
    other = app.test_client()
    assert attempt(other, password=PASSWORD).status_code == 200
    weak = WEAK.hash(PASSWORD)
    set_hash(app, weak)
    assert attempt(client).status_code == 401
    assert hash_of(app) == weak
    assert attempt(client, password=PASSWORD).status_code == 200
    renewed = hash_of(app)
    assert not needs_rehash(renewed)
    for session in (client, other):
        assert session.get("/").get_json()["username"] == "user"
    assert attempt(client, password=PASSWORD).status_code == 200
    assert hash_of(app) == renewed
    assert reasons(app).count("bad_password") == 1


@pytest.mark.usefixtures("accounts")
def test_the_hash_of_a_disabled_account_is_not_renewed(app: Flask, client: FlaskClient) -> None:
    weak = WEAK.hash(PASSWORD)
    set_hash(app, weak)
    with app.app_context(), write_session() as session:
        disable(session, get_account(session, "user"), by=ACTOR)
    assert attempt(client, password=PASSWORD).status_code == 401
    assert hash_of(app) == weak


TYPED = "my secret password"
OTHER = "another secret password"


def stored_names(client: FlaskClient) -> tuple[list[str], list[str]]:
    """The names of events, oldest first, and of the counters."""
    app = app_of(client)
    return [item.username or "" for item in reversed(logins(app))], sorted({name for _, name in counts_of(app)})


def is_hash(name: str) -> bool:
    return name.startswith("hash:") and len(name) == len("hash:") + 32


@pytest.mark.parametrize(
    ("policy", "is_stored"),
    [
        ("keep", lambda name: name == TYPED),
        ("hash", is_hash),
        ("mask", lambda name: name == "***"),
    ],
)
def test_an_unknown_name_is_stored_as_the_setting_says(
    config: dict[str, object], policy: str, is_stored: Callable[[str], bool]
) -> None:
    limits = {"throttle_name_limit": 1, "throttle_network_limit": 1}
    with running(config, unknown_usernames=policy, **limits) as client:
        assert attempts(client, RECORDED + 3, TYPED) == [401] + [429] * (RECORDED + 2)
        events, counted = stored_names(client)
        assert len(events) == RECORDED + 1
        (name,) = {*events, *counted}
        assert is_stored(name)


@pytest.mark.parametrize("policy", ["keep", "hash", "mask"])
def test_the_name_of_an_account_is_stored_as_it_is(config: dict[str, object], policy: str) -> None:
    limits = {"throttle_name_limit": 1, "throttle_network_limit": 1}
    with running(config, unknown_usernames=policy, **limits) as client:
        assert attempts(client, RECORDED + 3) == [401] + [429] * (RECORDED + 2)
        assert stored_names(client) == (["user"] * (RECORDED + 1), ["user"])


def test_hashed_names_can_be_grouped_and_not_looked_up(config: dict[str, object]) -> None:
    with running(config, unknown_usernames="hash") as client:
        for name in (TYPED, OTHER, TYPED):
            attempt(client, name)
        first, other, again = stored_names(client)[0]
        assert first == again != other
    with running({**config, "AUDIT_SECRET_KEY": "another secret key"}, unknown_usernames="hash") as client:
        attempt(client, TYPED)
        assert stored_names(client)[0][-1] not in (first, other)


def test_a_hash_is_one_of_the_name_as_it_would_be_stored() -> None:
    names = ["Ame\u0301lie", "Am\u00e9lie", "am\u00e9lie", "hash:x"]
    same, again, *others = (usernames.unknown(name, "hash", lambda: "key") for name in names)
    assert same == again
    assert len({same, *others}) == 3
    assert usernames.unknown(names[0], "hash", lambda: "other key") != same


def test_masked_names_are_not_refused_for_each_other(config: dict[str, object]) -> None:
    with running(config, unknown_usernames="mask") as client:
        assert attempts(client, FREE + 3, TYPED) == [401] * (FREE + 3)
        assert attempt(client, OTHER).status_code == 401
        assert attempts(client, FREE + 3) == [401] * (FREE + 3)  # a known name is treated alike


def test_the_throttle_can_be_off_and_that_is_said(config: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    with running(config, throttle="off", throttle_name_limit=1, throttle_network_limit=1) as client:
        assert "AUDIT_THROTTLE=off: passwords can be guessed" in caplog.text
        assert attempts(client, 6) == [401] * 6
        assert attempt(client, password=PASSWORD).status_code == 200


def test_the_throttle_is_on_without_a_word(config: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    with running(config):
        assert "THROTTLE" not in caplog.text


def test_without_passwords_there_is_no_throttle(config: dict[str, object]) -> None:
    with running(config, login="passwordless", throttle_name_limit=1, throttle_network_limit=1) as client:
        for method in ("password", "passwordless"):
            LoginFactory(failed=True, username="ada", remote_addr=HERE, method=method)
        assert attempts(client, 5, "***") == [401] * 5
        assert attempts(client, 3, "ada") == [200] * 3


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("Ada Lovelace 1815", "Ada Lovelace 1815"),
        ("Ada Lovelace 1815", "aDA lOVELACE 1815"),
        ("Stra\u00dfe nach Rom", "STRASSE NACH ROM"),
        ("ada", "password1234"),
        ("ada", "PassWord1234"),
        ("ada", "qwerty123456"),
        ("ada", "FINALFANTASY"),
        ("ada", "123456789987654321"),
    ],
)
def test_passwords_that_are_tried_first_are_refused(engine: Engine, username: str, password: str) -> None:
    with Session(engine) as session:
        with pytest.raises(AccountError, match=r"tried first|own name"):
            add_account(session, username, Role.USER, password, by=ACTOR)
        account = add_account(session, username, Role.USER, PASSWORD, by=ACTOR)
        before = account.password_hash
        with pytest.raises(AccountError, match=r"tried first|own name"):
            set_password(session, account, password, by=ACTOR)
        assert account.password_hash == before
        set_password(session, account, password + " and more", by=ACTOR)


@pytest.mark.parametrize("name", ["*", "***", "hash:", "hash:x", "hash:" + "0" * 32])
def test_a_name_that_stands_for_others_is_no_account(engine: Engine, name: str) -> None:
    with Session(engine) as session, pytest.raises(AccountError, match="stands for names that are not kept"):
        add_account(session, name, Role.USER, PASSWORD, by=ACTOR)


def test_a_name_that_stands_for_others_is_denied_without_passwords(config: dict[str, object]) -> None:
    with running(config, login="passwordless") as client:
        names = ["*", " * ", "***", "hash:x"]
        assert [attempt(client, name).status_code for name in names] == [401] * len(names)
        assert reasons(app_of(client)) == [Reason.DENIED] * len(names)
        assert client.get("/").get_json()["username"] is None
        assert attempt(client, "**").status_code == 200
