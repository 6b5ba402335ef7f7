"""Accounts and passwords."""

import pytest
from argon2 import PasswordHasher, extract_parameters
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from audit_service.accounts import add_account, authenticate, list_accounts
from audit_service.errors import AccountError
from audit_service.models import Account
from audit_service.passwords import hash_password, verify_password
from audit_service.vocabulary import Reason, Role
from tests.conftest import PASSWORD


def test_the_right_password_and_no_other(engine: Engine) -> None:
    with Session(engine) as session:
        add_account(session, "ada", Role.USER, PASSWORD)
        session.commit()
        found = authenticate(session, "ada", PASSWORD)
        assert isinstance(found, Account)
        assert found.username == "ada"
        assert authenticate(session, "ada", "wrong") is Reason.BAD_PASSWORD
        assert authenticate(session, "ada", "") is Reason.BAD_PASSWORD
        for name in ("bob", "ADA", "ada\x00", "\ud800", "x" * 5000):
            assert authenticate(session, name, PASSWORD) is Reason.UNKNOWN_USER


def test_what_is_stored_is_an_argon2id_hash_with_owasps_parameters(engine: Engine) -> None:
    with Session(engine) as session:
        stored = add_account(session, "ada", Role.USER, PASSWORD).password_hash
    parameters = extract_parameters(stored)
    assert stored.startswith("$argon2id$")
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19456, 2, 1)


@pytest.mark.parametrize("name", ["", " ada", "a\x00", "a\nb", "x" * 256, "\ud800"])
def test_unfit_names(engine: Engine, name: str) -> None:
    with Session(engine) as session:
        with pytest.raises(AccountError, match="a username must be"):
            add_account(session, name, Role.USER, PASSWORD)
        assert list_accounts(session) == []


@pytest.mark.parametrize("password", ["", "x" * 11, "x" * 257])
def test_unfit_passwords(engine: Engine, password: str) -> None:
    with Session(engine) as session, pytest.raises(AccountError, match="12 to 256 characters"):
        add_account(session, "ada", Role.USER, password)


def test_a_name_is_taken_once(engine: Engine) -> None:
    with Session(engine) as session:
        add_account(session, "ada", Role.USER, PASSWORD)
        session.commit()
        with pytest.raises(AccountError, match="already"):
            add_account(session, "ada", Role.ADMIN, PASSWORD)
        assert [(account.username, account.role) for account in list_accounts(session)] == [("ada", "user")]


def test_a_name_is_the_same_in_every_unicode_form(engine: Engine) -> None:
    with Session(engine) as session:
        add_account(session, "Ame\u0301lie", Role.USER, PASSWORD)
        session.commit()
        assert isinstance(authenticate(session, "Am\u00e9lie", PASSWORD), Account)
        assert isinstance(authenticate(session, "Ame\u0301lie", PASSWORD), Account)


def test_an_unknown_name_costs_what_a_wrong_password_costs(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[tuple[str, str]] = []

    def count(self: PasswordHasher, password_hash: str, password: bytes) -> bool:
        verified.append((password_hash.rsplit("$", 2)[0], password.decode()))
        return verify(self, password_hash, password)

    verify = PasswordHasher.verify
    monkeypatch.setattr(PasswordHasher, "verify", count)
    with Session(engine) as session:
        add_account(session, "ada", Role.USER, PASSWORD)
        session.commit()
        for name in ("ada", "nobody", "a\x00"):
            authenticate(session, name, "wrong")
    assert verified == [("$argon2id$v=19$m=19456,t=2,p=1", "wrong")] * 3


def test_any_text_can_be_compared() -> None:
    stored = hash_password(PASSWORD)
    assert verify_password(stored, PASSWORD)
    assert not any(verify_password(stored, text) for text in ("\ud800", "\x00", "x" * 100_000))
    assert not verify_password(None, "")  # the stand-in for nobody opens to nothing
