"""The closed vocabularies fit where they are stored and shown."""

import re
from enum import StrEnum
from typing import Any

import pytest

from audit_service.storage.models import Account, AdminEvent, LoginEvent, Token
from audit_service.vocabulary import Action, AdminAction, Outcome, Reason, Role, Scope

COLUMNS = [
    (Action, LoginEvent.action),
    (Outcome, LoginEvent.outcome),
    (Reason, LoginEvent.reason),
    (AdminAction, AdminEvent.action),
    (Role, Account.role),
    (Scope, Token.scope),
]


@pytest.mark.parametrize(("words", "column"), COLUMNS, ids=lambda given: getattr(given, "__name__", "column"))
def test_each_word_is_its_name_in_small_letters_and_fits_its_column(words: type[StrEnum], column: Any) -> None:
    """PostgreSQL refuses what is longer than its column, and SQLite does not: no word may be the first to find out."""
    for word in words:
        assert word.value == word.name.lower()
        assert re.fullmatch("[a-z]+(_[a-z]+)*", word.value)
        assert len(word.value) <= column.type.length
