"""A bounded count of events that come too often: what is let through, and that no other is forgotten."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from audit_service.values.flood import Flood

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
WINDOW = timedelta(minutes=15)


def test_the_first_few_are_let_through_and_the_others_counted() -> None:
    flood: Flood[str] = Flood(WINDOW, recorded=3)
    assert [flood.admit("a", NOW + n * SECOND) for n in range(6)] == [True] * 3 + [False] * 3
    assert flood.admit("b", NOW + 6 * SECOND), "each key has a window of its own"
    assert flood.take_due(NOW + WINDOW - SECOND) == []
    assert flood.take_due(NOW + WINDOW) == [("a", 3, NOW + 3 * SECOND, NOW + 5 * SECOND)]
    assert flood.take_due(NOW + 2 * WINDOW) == [], "it is told once, and not at all of what was let through"


def test_a_new_window_lets_through_again() -> None:
    flood: Flood[str] = Flood(WINDOW, recorded=1)
    assert [flood.admit("a", NOW), flood.admit("a", NOW)] == [True, False]
    flood.take_due(NOW + WINDOW)
    assert [flood.admit("a", NOW + WINDOW), flood.admit("a", NOW + WINDOW)] == [True, False]
    assert flood.take_due(NOW + WINDOW + SECOND) == []
    assert flood.take_due(NOW + 2 * WINDOW) == [("a", 1, NOW + WINDOW, NOW + WINDOW)]


def test_a_window_that_is_not_ended_keeps_its_counts() -> None:
    flood: Flood[str] = Flood(WINDOW, recorded=1)
    times = [NOW, NOW + WINDOW, NOW + 5 * WINDOW]
    assert [flood.admit("a", time) for time in times] == [True, False, False]
    assert flood.take_due(times[-1]) == [("a", 2, *times[1:])]


def test_keys_beyond_the_bound_are_counted_together() -> None:
    flood: Flood[int] = Flood(WINDOW, recorded=1, keys=2)
    assert [flood.admit(key, NOW) for key in (1, 2, 3, 4, 5, 1)] == [True, True, True, False, False, False]
    assert flood.take_due(NOW + WINDOW) == [(1, 1, NOW, NOW), (None, 2, NOW, NOW)]
    assert flood.admit(3, NOW + WINDOW), "there is room again"
    flood.admit(3, NOW + WINDOW)
    assert [key for key, *_ in flood.take_due(NOW + 2 * WINDOW)] == [3]


def test_threads_count_together_exactly() -> None:
    flood: Flood[int] = Flood(WINDOW)
    with ThreadPoolExecutor(8) as threads:
        admitted = list(threads.map(lambda n: n % 3 if flood.admit(n % 3, NOW) else None, range(3000)))
    assert Counter(admitted) == {0: 10, 1: 10, 2: 10, None: 2970}
    assert {key: count for key, count, *_ in flood.take_due(NOW + WINDOW)} == {0: 990, 1: 990, 2: 990}
