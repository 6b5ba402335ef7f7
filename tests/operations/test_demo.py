"""The month of the demonstration."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from audit_service.operations.demo import DAYS, demo_events


@pytest.mark.parametrize("hour", [0, 2, 3, 12, 23])
def test_the_month_is_in_the_order_of_time_and_over(hour: int) -> None:
    until = datetime(2026, 3, 29, hour, 5, tzinfo=UTC)  # a day on which clocks are put forward
    times = [event.timestamp for event in demo_events(until)]
    assert times == sorted(times)
    assert until - timedelta(days=DAYS + 1) < times[0]
    assert times[-1] <= until


def test_the_same_seed_makes_the_same_month() -> None:
    until = datetime(2026, 3, 31, 12, tzinfo=UTC)
    first, again, other = (
        [msgspec.structs.replace(event, id=None) for event in demo_events(until, seed)] for seed in (1, 1, 2)
    )
    assert first == again != other
