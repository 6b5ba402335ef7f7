"""A history of more than one block, which two processes verify."""

from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from audit_service.verifying.block_tree import LENGTH
from audit_service.verifying.checkpoints import Trust
from audit_service.verifying.database import DatabaseOpener
from audit_service.verifying.findings import Code, Weight
from audit_service.verifying.walk import verify
from tests.support.signed_trail import SignedTrail

FILL = """
    WITH RECURSIVE n (seq) AS (SELECT :first UNION ALL SELECT seq + 1 FROM n WHERE seq < :last)
    INSERT INTO login_events (id, seq, timestamp, recorded_at, app, action, outcome, username, remote_addr)
    SELECT printf('%032x', n.seq), n.seq, first.timestamp, first.recorded_at, 'tests', 'login', 'success', 'ada',
        '192.0.2.7'
    FROM n, admin_events AS first
"""


def fill(trail: SignedTrail, first: int, last: int) -> None:
    """Store logins fast, and sign them."""
    with trail.database.write() as connection:
        connection.execute(text(FILL), {"first": first, "last": last})
        connection.execute(text("UPDATE trail_head SET size = :last"), {"last": last})
    trail.sign()


@pytest.mark.parametrize("backend", ["sqlite"])  # it is about blocks
def test_a_change_in_the_second_block_is_found(database_url: str, tmp_path: Path) -> None:
    changed, last = LENGTH + 264, LENGTH + 600
    with closing(SignedTrail(database_url, tmp_path / "data")) as trail:
        trail.start()
        fill(trail, 2, LENGTH + 300)
        fill(trail, LENGTH + 301, last)
        with trail.tampering() as connection:
            connection.execute(text("UPDATE login_events SET username = 'eve' WHERE seq = :seq"), {"seq": changed})
        report = verify(DatabaseOpener(trail.settings.url), Trust([trail.verifier]), jobs=2)
        found = [(each.code, each.seq) for each in report.findings if each.weight is not Weight.NOTE]
        assert found == [(Code.ROW_CHANGED, changed)]
        assert report.latest
        assert (report.latest.checkpoint.size, report.events, report.checkpoints) == (last, last, 2)
