"""Cleaning: one line, bounded, the same from both databases."""

import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from audit_service.events.logins import LOGINS
from audit_service.history.query import find_event
from audit_service.trail.recorder import Recorder
from audit_service.values.text import clean, clean_lines, fit
from tests.factories import LoginFactory

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=600)  # surrogates too


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("ada", "ada"),
        ("a\x00b", "a\ufffdb"),
        ("a\r\nb", "a\ufffd\ufffdb"),
        ("\ud800", "\ufffd"),
        ("\u202etxt.exe", "\ufffdtxt.exe"),
        ("e\u0301", "\u00e9"),
        ("李雷", "李雷"),
        ("x" * 5000, "x" * 255),
    ],
)
def test_clean(text: str, stored: str) -> None:
    assert clean(text, 255) == stored


@pytest.mark.parametrize(
    ("text", "fitting"),
    [
        ("ada", "ada"),
        ("e\u0301", "\u00e9"),
        ("a\x00", None),
        ("ada\u200b", None),
        ("x" * 256, None),
        ("\ufffd", "\ufffd"),
    ],
)
def test_fit(text: str, fitting: str | None) -> None:
    assert fit(text, 255) == fitting


def test_clean_lines_keeps_line_feeds_and_the_end() -> None:
    assert clean_lines("first\nsec\x00ond", 8) == "\nsec\ufffdond"


@given(ANY_TEXT, st.integers(0, 300))
def test_clean_is_bounded_single_line_and_final(text: str, limit: int) -> None:
    cleaned = clean(text, limit)
    assert len(cleaned) <= limit
    assert len(cleaned.splitlines()) <= 1
    assert not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in cleaned)
    assert fit(cleaned, limit) == cleaned


@given(text=ANY_TEXT)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cleaned_text_comes_back_as_it_went_in(recorder: Recorder, engine: Engine, text: str) -> None:
    event = LoginFactory(
        username=clean(text, 255), user_agent=clean(text, 512), details={clean(text, 50): clean(text, 900)}
    )
    with Session(engine) as session:
        item = find_event(session, LOGINS, event.id)
    assert item is not None
    assert (item.username, item.user_agent, item.details) == (event.username, event.user_agent, event.details)
