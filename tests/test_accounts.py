"""Accounts and passwords."""

import pytest
from argon2 import extract_parameters
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from audit_service.accounts import add_account, get_account, list_accounts
from audit_service.errors import AccountError
from audit_service.passwords import hash_password, verify_password
from audit_service.vocabulary import Role
from tests.conftest import ACTOR, PASSWORD


def test_what_is_stored_is_an_argon2id_hash_with_owasps_parameters(engine: Engine) -> None:
    with Session(engine) as session:
        stored = add_account(session, "ada", Role.USER, PASSWORD, by=ACTOR).password_hash
    parameters = extract_parameters(stored)
    assert stored.startswith("$argon2id$")
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19456, 2, 1)


@pytest.mark.parametrize("name", ["", " ada", "a\x00", "a\nb", "x" * 256, "\ud800"])
def test_unfit_names(engine: Engine, name: str) -> None:
    with Session(engine) as session:
        with pytest.raises(AccountError, match="a username must be"):
            add_account(session, name, Role.USER, PASSWORD, by=ACTOR)
        assert list_accounts(session) == []


@pytest.mark.parametrize("password", ["", "x" * 11, "x" * 257])
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
