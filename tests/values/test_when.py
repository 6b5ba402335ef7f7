"""Times as people type them."""

from contextlib import suppress
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_service.values.when import parse_when

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 30, 0, 30, tzinfo=BERLIN)  # a day after clocks were set forward; in UTC it is the 29th


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", "2026-03-29T22:30:00Z"),
        ("30m", "2026-03-29T22:00:00Z"),
        ("24h", "2026-03-28T22:30:00Z"),
        ("7d", "2026-03-22T22:30:00Z"),
        ("2w", "2026-03-15T22:30:00Z"),
        ("3 Days", "2026-03-26T22:30:00Z"),
        ("1 hour", "2026-03-29T21:30:00Z"),
        ("today", "2026-03-29T22:00:00Z"),
        ("Yesterday", "2026-03-28T23:00:00Z"),  # that day had 23 hours
        ("2026-01-31", "2026-01-30T23:00:00Z"),
        ("2026-07-31", "2026-07-30T22:00:00Z"),
        (" 2026-01-31  12:00 ", "2026-01-31T11:00:00Z"),
        ("2026-01-31T12:00:05", "2026-01-31T11:00:05Z"),
        ("2026-10-25 02:30", "2026-10-25T00:30:00Z"),  # comes twice
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31t12:00:00.5z", "2026-01-31T12:00:00.500000Z"),
        ("2026-01-31 12:00:00+05:45", "2026-01-31T06:15:00Z"),
    ],
)
def test_what_people_type(text: str, meant: str) -> None:
    found = parse_when(text, BERLIN, NOW)
    assert (found.isoformat().replace("+00:00", "Z"), found.tzinfo) == (meant, UTC)


def test_the_zone_decides_which_day_it_is() -> None:
    assert parse_when("today", UTC, NOW) == datetime(2026, 3, 29, tzinfo=UTC)
    assert parse_when("2026-01-31", ZoneInfo("Asia/Kathmandu"), NOW) == datetime(2026, 1, 30, 18, 15, tzinfo=UTC)


NO_TIMES = [
    *("soon", "7", "7x", "-7d", "1.5h", "99999999h", "999999d", "20260131", "2026-W05", "2026-02-30", "12:00"),
    *("2026-01-31T24:61", "2026-01-31T12", "2026-01-31T12:00:00+99:00", "0001-01-01T00:00:00+14:00", "today\0"),
    "\N{ARABIC-INDIC DIGIT SEVEN}d",
]


@pytest.mark.parametrize("text", ["", *NO_TIMES])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"must be a time such as 24h, 7d, today, yesterday, 2026-01-31, 2026-01-31 12"
    ):
        parse_when(text, BERLIN, NOW)


@given(st.datetimes(timezones=st.timezones()).filter(lambda time: 1 < time.year < 9999))
def test_a_time_of_rfc_3339_is_that_time(time: datetime) -> None:
    text = time.astimezone(UTC).isoformat()
    assert parse_when(text, BERLIN, NOW) == time.astimezone(UTC)


@given(st.text())
def test_any_text_is_a_time_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert parse_when(text, BERLIN, NOW).tzinfo is UTC
