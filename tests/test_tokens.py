"""Tokens."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from audit_service.errors import AccountError
from audit_service.tokens import add_token, find_token, list_tokens, revoke_token
from audit_service.vocabulary import Scope
from tests.conftest import ACTOR


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
