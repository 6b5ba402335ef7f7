"""Cursors: what was encoded comes back, and nothing else is taken."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_service.errors import ParameterError
from audit_service.events.errors import ERRORS
from audit_service.events.logins import LOGINS, LoginFilters
from audit_service.history.cursor import Cursors, Position
from audit_service.history.question import Order, Question

POSITIONS = st.builds(Position, st.datetimes(timezones=st.just(UTC)), st.integers(1, 2**63 - 1))


def cursors(key: str = "key", **asked: Any) -> Cursors:
    return Cursors(key, Question(**{"kind": LOGINS, "filters": LoginFilters(), **asked}))


OTHERS = [
    cursors("other"),
    cursors(kind=ERRORS),
    cursors(owner="x"),
    cursors(filters=LoginFilters(username=["x"])),
    cursors(order=Order.OLDEST),
]


@given(POSITIONS)
def test_round_trip(position: Position) -> None:
    assert cursors().decode(cursors().encode(position)) == position


@given(POSITIONS, st.sampled_from(OTHERS))
def test_a_cursor_of_another_question_is_refused(position: Position, other: Cursors) -> None:
    with pytest.raises(ParameterError, match="same filters"):
        cursors().decode(other.encode(position))


@given(st.text(st.characters(exclude_categories=()), max_size=200))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ParameterError):
        cursors().decode(text)


@given(POSITIONS, st.data())
def test_a_changed_cursor_is_refused(position: Position, data: st.DataObject) -> None:
    cursor = cursors().encode(position)
    place = data.draw(st.integers(0, len(cursor) - 2))  # the last letter carries unused bits
    letter = data.draw(st.sampled_from("abcXYZ019-_.").filter(lambda letter: letter != cursor[place]))
    with pytest.raises(ParameterError):
        cursors().decode(cursor[:place] + letter + cursor[place + 1 :])


def test_a_cursor_of_an_earlier_version_is_read() -> None:
    cursor = "WzE3Njk4NjA4MDAwMDAwMDAsN10.L7vCZtJ8XLUDoqedfU-0PLazFJnRX8MejuusEWDnfvY"
    assert cursors().decode(cursor) == Position(datetime(2026, 1, 31, 12, tzinfo=UTC), 7)


def test_a_cursor_survives_a_microsecond() -> None:
    position = Position(datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC), 7)
    assert cursors().decode(cursors().encode(position)) == position
