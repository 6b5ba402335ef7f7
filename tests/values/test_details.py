"""Details: one canonical form."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from audit_service.events.logins import LOGINS
from audit_service.history.query import find_event
from audit_service.trail.recorder import Recorder
from audit_service.values.details import normal_details
from tests.factories import LoginFactory

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(-(2**53), 2**53)
TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def too_deep() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["itself"] = value
    return value


@pytest.mark.parametrize(
    ("details", "normal"),
    [
        (None, None),
        ({}, None),
        ({"bb": 1, "a": 2, "ccc": 3, "aa": 4}, [("a", 2), ("aa", 4), ("bb", 1), ("ccc", 3)]),
        ({"a\x00": ["\ud800"]}, [("a\ufffd", ["\ufffd"])]),
        ({"yes": True, 1: (1, 2)}, [("1", [1, 2]), ("yes", True)]),
    ],
)
def test_the_canonical_form(details: dict[str, Any] | None, normal: list[tuple[str, object]] | None) -> None:
    made = normal_details(details)
    assert (made and list(made.items())) == normal


def test_zero_has_no_sign() -> None:
    assert str(normal_details({"zero": -0.0})) == "{'zero': 0.0}"


@pytest.mark.parametrize(
    ("details", "message"),
    [
        ("text", "must be a dict, not str"),
        ([("a", 1)], "must be a dict, not list"),
        ({"x": "y" * 5000}, "at most 4096 bytes"),
        ({"x": float("nan")}, "numbers"),
        ({"x": 10**400}, "numbers"),
        ({"x": object()}, "object is not"),
        ({"a\x00": 1, "a\x01": 2}, "keys that are the same"),
        (too_deep(), "16 levels deep"),
    ],
)
def test_what_is_refused(details: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        normal_details(details)


@given(details=st.dictionaries(TEXT, JSON, max_size=5))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_read_is_what_was_stored(recorder: Recorder, engine: Engine, details: dict[str, Any]) -> None:
    try:
        normal = normal_details(details)
    except ValueError as error:
        assert str(error).startswith("details must")  # noqa: PT017 - either one is right
        return
    event = LoginFactory(details=normal)
    with Session(engine) as session:
        item = find_event(session, LOGINS, event.id)
    assert item is not None
    assert str(item.details) == str(normal)  # the order of keys, too
