"""Changes of accounts and tokens that overlap: recorded once, and never in each other's way."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from audit_service.access import accounts as service
from audit_service.access.accounts import add_account, get_account
from audit_service.access.tokens import add_token, list_tokens, revoke_token
from audit_service.errors import AccountError
from audit_service.storage.dialects import is_sqlite
from audit_service.storage.models import Account, AdminEvent, TrailHead
from audit_service.vocabulary import Role, Scope
from tests.support.accounts import ACTOR, PASSWORD

NEW_PASSWORD = "another horse, another battery"
Change = Callable[[Session], object]


def on_account(change: Callable[[Session, Account], object]) -> Change:
    """As a command makes it: by the account's name."""
    return lambda session: change(session, get_account(session, "ada"))


DISABLE = on_account(lambda session, account: service.disable(session, account, by=ACTOR))
ENABLE = on_account(lambda session, account: service.enable(session, account, by=ACTOR))
REMOVE = on_account(lambda session, account: service.remove(session, account, by=ACTOR))
ROLE = on_account(lambda session, account: service.set_role(session, account, Role.AUDITOR, by=ACTOR))
SET_PASSWORD = on_account(lambda session, account: service.set_password(session, account, NEW_PASSWORD, by=ACTOR))


def revoke(session: Session) -> None:
    revoke_token(session, "poller", by=ACTOR)


def add_bob(session: Session) -> None:
    add_account(session, "bob", Role.USER, PASSWORD, by=ACTOR)


def add_shop(session: Session) -> None:
    add_token(session, "shop", Scope.READ, by=ACTOR)


@pytest.fixture
def ada(engine: Engine, password_hash: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account and a token."""
    monkeypatch.setattr("audit_service.access.accounts.hash_password", lambda _password: password_hash)
    with Session(engine) as session, session.begin():
        add_account(session, "ada", Role.USER, PASSWORD, by=ACTOR)
        add_token(session, "poller", Scope.READ, by=ACTOR)


def events(engine: Engine) -> Counter[str]:
    """How often the trail tells of each action; its positions have no gap."""
    with Session(engine) as session:
        rows = session.execute(select(AdminEvent.seq, AdminEvent.action).order_by(AdminEvent.seq)).all()
        assert [row.seq for row in rows] == list(range(1, (session.scalar(select(TrailHead.size)) or 0) + 1))
    return Counter(row.action for row in rows)


def overlap(engine: Engine, *changes: Change) -> list[str]:
    """Make *changes* at once, and return the errors of those that came too late.

    On PostgreSQL each has looked, as far as it can without a lock, before any of them goes on; on SQLite they begin
    together.
    """
    together = threading.Barrier(len(changes))

    def run(change: Change) -> str | None:
        together.wait(5)
        try:
            with Session(engine) as session, session.begin():
                change(session)
        except AccountError as error:
            return str(error).split(":")[0]
        return None

    with ThreadPoolExecutor(len(changes)) as pool:
        if is_sqlite(engine):
            errors = pool.map(run, changes)
        else:
            with held_rows(engine):
                errors = pool.map(run, changes)
                wait_for_waiters(engine, len(changes))
        return [error for error in errors if error]


@contextmanager
def held_rows(engine: Engine) -> Iterator[None]:
    """Let nobody lock or change an account or a token meanwhile, on PostgreSQL; they can be read."""
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE audit_accounts, audit_tokens IN EXCLUSIVE MODE"))
        yield


def wait_for_waiters(engine: Engine, count: int) -> None:
    """Wait until so many wait for a lock in this database."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + 5
    with engine.connect() as connection:
        while connection.execute(query).scalar_one() < count:
            connection.rollback()
            assert time.monotonic() < deadline, "nobody waits"


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    ("change", "before", "action", "error"),
    [
        (DISABLE, None, "account_disabled", None),
        (ENABLE, DISABLE, "account_enabled", None),
        (REMOVE, None, "account_removed", "there is no account 'ada'"),
        (revoke, None, "token_revoked", None),
        (add_bob, None, "account_added", "there is an account 'bob' already"),
        (add_shop, None, "token_added", "there is, or was, a token 'shop' already"),
    ],
    ids=["disable", "enable", "remove", "revoke", "add", "tokens add"],
)
def test_what_happens_once_is_recorded_once(
    engine: Engine, change: Change, before: Change | None, action: str, error: str | None
) -> None:
    with Session(engine) as session, session.begin():
        if before:
            before(session)
    recorded = events(engine)
    errors = overlap(engine, change, change)
    assert events(engine) - recorded == Counter({action: 1})
    assert errors == ([error] if error else [])


@pytest.mark.usefixtures("ada")
def test_roles_that_are_set_at_once_are_recorded_one_after_the_other(engine: Engine) -> None:
    assert overlap(engine, ROLE, ROLE) == []
    with Session(engine) as session:
        query = select(AdminEvent.details).where(AdminEvent.action == "role_changed").order_by(AdminEvent.seq)
        assert session.scalars(query).all() == [
            {"from": "user", "to": "auditor"},
            {"from": "auditor", "to": "auditor"},  # it, too, ended the sessions
        ]


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("other", [ROLE, DISABLE, SET_PASSWORD], ids=["set-role", "disable", "set-password"])
def test_a_removed_account_is_not_changed(engine: Engine, other: Change) -> None:
    errors = overlap(engine, REMOVE, other)
    assert events(engine)["account_removed"] == 1
    assert sum(events(engine).values()) + len(errors) == 4  # account and token were added; the other came first or not
    assert set(errors) <= {"there is no account 'ada'"}


def taken(name: str, how: str) -> Change:
    """Take from the account of that *name* what makes it an active admin."""

    def change(session: Session) -> None:
        account = get_account(session, name)
        match how:
            case "demote":
                service.set_role(session, account, Role.AUDITOR, by=ACTOR)
            case "disable":
                service.disable(session, account, by=ACTOR)
            case _:
                service.remove(session, account, by=ACTOR)

    return change


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(("first", "second"), [("remove", "remove"), ("demote", "disable"), ("disable", "remove")])
def test_admins_who_take_each_others_rights_at_once_leave_one(engine: Engine, first: str, second: str) -> None:
    with Session(engine) as session, session.begin():
        for name in ("eve", "bob"):
            add_account(session, name, Role.ADMIN, PASSWORD, by=ACTOR)
    (error,) = overlap(engine, taken("eve", first), taken("bob", second))
    assert error in {"'eve' is the last active admin", "'bob' is the last active admin"}
    with Session(engine) as session:
        (left,) = (each for each in service.list_accounts(session) if each.role == "admin" and not each.disabled_at)
        assert error.startswith(f"'{left.username}'")


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("how", ["remove", "demote", "disable"])
def test_the_last_active_admin_stays(engine: Engine, how: str) -> None:
    with Session(engine) as session, session.begin():
        add_account(session, "eve", Role.ADMIN, PASSWORD, by=ACTOR)
        service.disable(session, add_account(session, "away", Role.ADMIN, PASSWORD, by=ACTOR), by=ACTOR)
    recorded = events(engine)
    with Session(engine) as session, pytest.raises(AccountError, match="'eve' is the last active admin"):
        taken("eve", how)(session)
    assert events(engine) == recorded
    with Session(engine) as session, session.begin():  # what takes nothing away goes on
        service.set_role(session, get_account(session, "eve"), Role.ADMIN, by=ACTOR)
        taken("away", how)(session)
        service.set_role(session, get_account(session, "ada"), Role.ADMIN, by=ACTOR)
        taken("eve", how)(session)


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("backend", ["postgresql"])  # SQLite has one writer at a time
@pytest.mark.parametrize(
    "change",
    [DISABLE, REMOVE, ROLE, SET_PASSWORD, revoke],
    ids=["disable", "remove", "set-role", "set-password", "revoke"],
)
def test_a_change_that_waits_for_its_row_holds_up_no_login(engine: Engine, change: Change) -> None:
    def run() -> None:
        with Session(engine) as session, session.begin():
            change(session)

    with ThreadPoolExecutor(1) as pool:
        with held_rows(engine), engine.connect() as login:
            done = pool.submit(run)
            wait_for_waiters(engine, 1)
            login.execute(select(TrailHead.size).with_for_update(nowait=True))
        done.result(5)
    assert sum(events(engine).values()) == 3


@pytest.mark.usefixtures("ada")
def test_a_name_that_is_taken_leaves_the_callers_transaction_alone(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        add_bob(session)
        add_shop(session)
        for again in (add_bob, add_shop):
            with pytest.raises(AccountError, match="already"):
                again(session)
    with Session(engine) as session:
        assert get_account(session, "bob")
        assert [token.name for token in list_tokens(session)] == ["poller", "shop"]
    assert events(engine) == {"account_added": 2, "token_added": 2}
