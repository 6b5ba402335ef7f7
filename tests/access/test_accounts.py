"""Accounts and passwords."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from argon2 import extract_parameters
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from audit_service.access.accounts import (
    add_account,
    disable,
    enable,
    find_account,
    get_account,
    list_accounts,
    remove,
    set_password,
    set_role,
)
from audit_service.access.passwords import hash_password, verify_password
from audit_service.errors import AccountError
from audit_service.storage.models import AdminEvent, LoginEvent
from audit_service.vocabulary import Role
from tests.support.accounts import ACTOR, PASSWORD


@pytest.mark.usefixtures("real_hashing")
def test_what_is_stored_is_an_argon2id_hash_with_owasps_parameters(engine: Engine) -> None:
    with Session(engine) as session:
        stored = add_account(session, "ada", Role.USER, PASSWORD, by=ACTOR).password_hash
    parameters = extract_parameters(stored)
    assert stored.startswith("$argon2id$")
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19456, 2, 1)


@pytest.mark.parametrize("name", ["", " ada", "a\x00", "a\nb", "x" * 256, "\ud800"])
@pytest.mark.parametrize("backend", ["sqlite"])  # refused before any database is asked
def test_unfit_names(engine: Engine, name: str) -> None:
    with Session(engine) as session:
        with pytest.raises(AccountError, match="a username must be"):
            add_account(session, name, Role.USER, PASSWORD, by=ACTOR)
        assert list_accounts(session) == []


@pytest.mark.parametrize("password", ["", "x" * 11, "x" * 257])
@pytest.mark.parametrize("backend", ["sqlite"])  # refused before any database is asked
def test_unfit_passwords(engine: Engine, password: str) -> None:
    with Session(engine) as session, pytest.raises(AccountError, match="12 to 256 characters"):
        add_account(session, "ada", Role.USER, password, by=ACTOR)


def test_a_name_is_taken_once(engine: Engine) -> None:
    with Session(engine) as session:
        add_account(session, "ada", Role.USER, PASSWORD, by=ACTOR)
        session.commit()
        with pytest.raises(AccountError, match="already"):
            add_account(session, "ada", Role.ADMIN, PASSWORD, by=ACTOR)
        assert [(account.username, account.role) for account in list_accounts(session)] == [("ada", "user")]


def test_a_name_is_the_same_in_every_unicode_form(engine: Engine) -> None:
    with Session(engine) as session:
        add_account(session, "Ame\u0301lie", Role.USER, PASSWORD, by=ACTOR)
        session.commit()
        assert get_account(session, "Am\u00e9lie") is get_account(session, "Ame\u0301lie")


def test_any_text_can_be_compared() -> None:
    stored = hash_password(PASSWORD)
    assert verify_password(stored, PASSWORD)
    assert not any(verify_password(stored, text) for text in ("\ud800", "\x00", "x" * 100_000))
    assert not verify_password(None, "")  # the stand-in for nobody opens to nothing


NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
NEW_PASSWORD = "another horse, another battery"


def test_disabling_and_enabling(engine: Engine) -> None:
    with Session(engine) as session, time_machine.travel(NOON, tick=False) as clock:
        account = add_account(session, "ada", Role.USER, PASSWORD, by=ACTOR)
        keys = [account.session_key]
        disable(session, account, by=ACTOR)
        keys.append(account.session_key)
        clock.shift(timedelta(hours=1))
        disable(session, account, by=ACTOR)  # since when it is disabled does not change
        keys.append(account.session_key)
        assert account.disabled_at == NOON
        enable(session, account, by=ACTOR)
        assert account.disabled_at is None
        assert account.session_key == keys[-1] != keys[0]
        assert verify_password(account.password_hash, PASSWORD)


def test_setting_the_password(engine: Engine) -> None:
    with Session(engine) as session:
        account = add_account(session, "ada", Role.USER, PASSWORD, by=ACTOR)
        key = account.session_key
        for unfit in ("", "short", "x" * 257, "password1234"):
            with pytest.raises(AccountError, match="password"):
                set_password(session, account, unfit, by=ACTOR)
        assert account.session_key == key
        assert verify_password(account.password_hash, PASSWORD)
        set_password(session, account, NEW_PASSWORD, by=ACTOR)
        assert account.session_key != key
        assert verify_password(account.password_hash, NEW_PASSWORD)
        assert not verify_password(account.password_hash, PASSWORD)


def test_a_password_is_not_the_accounts_own_name(engine: Engine) -> None:
    name = "Grace Brewster Hopper"
    with Session(engine) as session:
        with pytest.raises(AccountError, match="the account's own name"):
            add_account(session, name, Role.USER, name.upper(), by=ACTOR)
        account = add_account(session, name, Role.USER, PASSWORD, by=ACTOR)
        with pytest.raises(AccountError, match="the account's own name"):
            set_password(session, account, name, by=ACTOR)


@pytest.mark.parametrize("role", Role)
def test_setting_the_role(engine: Engine, role: Role) -> None:
    with Session(engine) as session:
        account = add_account(session, "ada", Role.USER, PASSWORD, by=ACTOR)
        key = account.session_key
        set_role(session, account, role, by=ACTOR)
        assert account.role == role
        assert account.session_key != key
        event = session.scalars(select(AdminEvent).order_by(AdminEvent.seq.desc()).limit(1)).one()
        assert event.details == {"from": "user", "to": role.value}


def test_removing_leaves_the_events(engine: Engine) -> None:
    with Session(engine) as session:
        account = add_account(session, "ada", Role.USER, PASSWORD, by=ACTOR)
        session.commit()
        remove(session, account, by=ACTOR)
        session.commit()
        assert find_account(session, "ada") is None
        assert session.scalars(select(LoginEvent)).all() == []
        events = session.scalars(select(AdminEvent).order_by(AdminEvent.seq)).all()
        assert [(event.actor, event.action, event.target) for event in events] == [
            ("tests", "account_added", "ada"),
            ("tests", "account_removed", "ada"),
        ]
        again = add_account(session, "ada", Role.ADMIN, PASSWORD, by=ACTOR)
        session.commit()
        assert get_account(session, "ada") is again


def test_two_accounts_never_share_a_session_key(engine: Engine) -> None:
    with Session(engine) as session:
        keys = {add_account(session, name, Role.USER, PASSWORD, by=ACTOR).session_key for name in ("ada", "bob")}
    assert len(keys) == 2


@pytest.mark.parametrize("name", ["*", "***", "hash:", "hash:0123"])
def test_names_that_stand_for_others(engine: Engine, name: str) -> None:
    with Session(engine) as session:
        with pytest.raises(AccountError, match="stands for names that are not kept"):
            add_account(session, name, Role.USER, PASSWORD, by=ACTOR)
        assert list_accounts(session) == []


@pytest.mark.parametrize("name", ["", "nobody", "\x00", "\ud800", "x" * 5000, "ADA", "ada "])
@pytest.mark.parametrize("backend", ["sqlite"])  # refused before any database is asked
def test_a_name_without_an_account(engine: Engine, name: str) -> None:
    with Session(engine) as session:
        add_account(session, "ada", Role.USER, PASSWORD, by=ACTOR)
        assert find_account(session, name) is None
        with pytest.raises(AccountError, match="there is no account"):
            get_account(session, name)
