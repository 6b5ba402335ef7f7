"""The proofs of security, short. ``make test-security`` runs the long ones, each on both databases."""

import statistics
from pathlib import Path

import pytest

from tests.security.canaries import hunt_canaries
from tests.security.flood import flood
from tests.security.fuzz import fuzz
from tests.security.injection import inject
from tests.security.passwords import race
from tests.security.timing import measure

pytestmark = pytest.mark.usefixtures("real_hashing")
on_sqlite = pytest.mark.parametrize("backend", ["sqlite"])  # the other one would take long to tell the same
on_postgresql = pytest.mark.parametrize("backend", ["postgresql"])


def test_arbitrary_logins(database_url: str, tmp_path: Path) -> None:
    fuzz(database_url, tmp_path, 120)


@on_postgresql
def test_sql_in_every_field(database_url: str, tmp_path: Path) -> None:
    inject(database_url, tmp_path, 4)


@on_postgresql
def test_canaries(database_url: str, tmp_path: Path) -> None:
    hunt_canaries(database_url, tmp_path, 1)


@on_sqlite
def test_failures_take_alike_long(database_url: str, tmp_path: Path) -> None:
    """Few pairs tell no small difference, but one of work that is not done: a hash is most of the time."""
    for name, times in measure(database_url, tmp_path, 9).items():
        failure, wrong = map(statistics.median, times)
        assert 0.4 < failure / wrong < 2.5, (name, failure, wrong)


@on_postgresql
def test_a_race_for_the_password(database_url: str, tmp_path: Path) -> None:
    race(database_url, tmp_path, 3)


@on_sqlite
def test_a_flood(database_url: str, tmp_path: Path) -> None:
    flood(database_url, tmp_path, 1000)
