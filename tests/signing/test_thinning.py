"""Which checkpoints are kept: all of a week, then one an hour, and each that somebody outside has."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from audit_service.proving.confirmations import Confirmation, store_confirmation
from audit_service.signing import thinning
from audit_service.signing.key_file import read_keys
from audit_service.signing.lifecycle import rotate_key
from audit_service.signing.thinning import Thinning
from audit_service.storage.log_models import TrailCheckpoint
from audit_service.verifying.checkpoints import Trust
from audit_service.verifying.database import DatabaseOpener
from audit_service.verifying.report import Verdict
from audit_service.verifying.walk import verify
from tests.factories import LoginFactory
from tests.support.accounts import ACTOR
from tests.support.signed_trail import SignedTrail

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
OLD = HOUR - timedelta(days=8)


def sign_at(trail: SignedTrail, *times: datetime) -> list[int]:
    """Sign a checkpoint at each of these times; return their sizes."""
    sizes = []
    for time in times:
        LoginFactory()
        sizes.append(trail.sign().size)
        with trail.database.write() as connection:
            newest = TrailCheckpoint.size == sizes[-1]
            connection.execute(update(TrailCheckpoint).where(newest).values(signed_at=time))
    return sizes


def kept(trail: SignedTrail) -> list[int]:
    with trail.database.read() as connection:
        return list(connection.scalars(select(TrailCheckpoint.size).order_by(TrailCheckpoint.size)))


@pytest.mark.parametrize("batch", [2, thinning.BATCH])
def test_one_an_hour_is_kept_of_those_that_are_old(
    trail: SignedTrail, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(thinning, "BATCH", batch)
    sizes = sign_at(trail, *(OLD + timedelta(minutes=each) for each in (5, 10, 30, 55)))
    keys = [
        each.verifier for each in (rotate_key(trail.database, trail.key_file, by=ACTOR), *read_keys(trail.key_file))
    ]
    sizes += sign_at(trail, *(OLD + timedelta(minutes=each) for each in (56, 59, 61, 70, 200)), HOUR, HOUR)
    published, by_two_keys, log_id = sizes[1], sizes[4], trail.log().log_id
    with trail.database.write() as connection:
        store_confirmation(connection, log_id, Confirmation("hook", published, datetime.now(UTC), None))
    work = Thinning(trail.database)
    counts = [work.go_on(log_id) for _ in range(10)]
    assert kept(trail) == [published, by_two_keys, sizes[5], *sizes[7:]]
    assert sum(counts) == 4
    assert counts[0] > 0
    report = verify(DatabaseOpener(trail.settings.url), Trust(keys))
    assert report.verdict is Verdict.PROVEN


def test_it_looks_once_an_hour(trail: SignedTrail) -> None:
    work, log_id = Thinning(trail.database), trail.log().log_id
    assert work.go_on(log_id) == 0
    sign_at(trail, OLD, OLD + timedelta(minutes=1))
    assert work.go_on(log_id) == 0
    assert len(kept(trail)) == 2
    with trail.signing():
        trail.wait_signed(trail.newest().size)
    assert len(kept(trail)) == 1  # a signer looks when it starts
