"""The proofs of security, short. ``make test-security`` runs the long ones."""

import statistics
from pathlib import Path

from tests.security.canaries import hunt_canaries
from tests.security.flood import flood
from tests.security.fuzz import fuzz
from tests.security.injection import inject
from tests.security.timing import measure


def test_arbitrary_logins(database_url: str, tmp_path: Path) -> None:
    fuzz(database_url, tmp_path, 300)


def test_sql_in_every_field(database_url: str, tmp_path: Path) -> None:
    inject(database_url, tmp_path, 3)


def test_canaries(database_url: str, tmp_path: Path) -> None:
    hunt_canaries(database_url, tmp_path, 1)


def test_failures_take_alike_long(database_url: str, tmp_path: Path) -> None:
    """Few pairs tell no small difference, but one of work that is not done: a hash is most of the time."""
    for name, times in measure(database_url, tmp_path, 11).items():
        failure, wrong = map(statistics.median, times)
        assert 0.4 < failure / wrong < 2.5, (name, failure, wrong)


def test_a_flood(database_url: str, tmp_path: Path) -> None:
    flood(database_url, tmp_path, 1000)
