"""What charts show of a time, however long it is."""

from datetime import UTC, datetime, timedelta

from flask.testing import FlaskClient

from audit_service.history.summing import By, Count, Summary
from audit_service.pages.charts import without_gaps
from audit_service.vocabulary import Role
from tests.support.logins import BROWSER, log_in

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def whole(days: int, *counts: Count, tz: str = "UTC") -> list[Count]:
    until = BEGIN + timedelta(days=days)
    return without_gaps(Summary(by=By.DAY, then=None, tz=tz, since=BEGIN, until=until, items=list(counts)))


def test_days_without_events_are_shown() -> None:
    count = Count(key="2026-01-02T00:00:00+00:00", count=3, failures=1)
    assert [(each.key, each.count, each.failures) for each in whole(3, count)] == [
        ("2026-01-01T00:00:00+00:00", 0, 0),
        ("2026-01-02T00:00:00+00:00", 3, 1),
        ("2026-01-03T00:00:00+00:00", 0, 0),
    ]


def test_a_day_that_begins_after_midnight_has_its_events() -> None:
    """In Cairo the clocks went from 00:00 to 01:00 on this day."""
    count = Count(key="2026-04-24T00:00:00+03:00", count=3, failures=1)
    assert [each.count for each in whole(200, count, tz="Africa/Cairo") if each.count] == [3]


def test_of_a_long_time_several_days_are_one_bar() -> None:
    found = whole(
        400,
        Count(key="2026-01-05T00:00:00+00:00", count=3, failures=1),
        Count(key="2026-01-06T00:00:00+00:00", count=2, failures=0),
        Count(key="2027-02-04T00:00:00+00:00", count=1, failures=1),
    )
    assert len(found) == 100
    assert [(each.key, each.count, each.failures) for each in found if each.count] == [
        ("2026-01-05T00:00:00+00:00", 5, 1),
        ("2027-02-01T00:00:00+00:00", 1, 1),
    ]


def test_a_chart_of_thousands_of_years(client: FlaskClient, accounts: dict[Role, str]) -> None:
    log_in(client, "auditor")
    for path in ("/logins/chart.svg", "/errors/v1:bug/chart.svg", "/errors/v1:bug/sparkline.svg"):
        for since in ("0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z"):
            answer = client.get(path, query_string={"since": since}, headers=BROWSER)
            assert answer.status_code == 200
            assert len(answer.data) < 200_000
