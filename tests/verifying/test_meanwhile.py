"""The history goes on while it is verified, and nothing of that is a finding."""

import itertools
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from audit_service.events.base import Kind
from audit_service.events.kinds import KINDS
from audit_service.events.logins import LOGINS
from audit_service.proofs.entry import Group
from audit_service.proving.erasing import Erasing, erase_within
from audit_service.signing.database import Database
from audit_service.storage.log_models import TrailLog
from audit_service.storage.models import table_of
from audit_service.trail.recorder import Recorder
from audit_service.verifying import blocks
from audit_service.verifying.checkpoints import Trust
from audit_service.verifying.database import DatabaseOpener, DatabaseSource
from audit_service.verifying.findings import Finding, Weight
from audit_service.verifying.report import Report, Verdict
from audit_service.verifying.source import Block, Head
from audit_service.verifying.walk import verify
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.accounts import ACTOR
from tests.support.signed_trail import SignedTrail

FEW = 100  # events that are read at once


@pytest.fixture
def trail(
    database_url: str, recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SignedTrail]:
    """Three hundred events, which a verifier reads in many steps."""
    monkeypatch.setattr(blocks, "STEP", FEW)
    with closing(SignedTrail(database_url, tmp_path / "data")) as trail:
        trail.start()
        recorder.record_all(LoginFactory.copies(290, details={"a": 1.5}))
        trail.sign()
        yield trail


def erase(database: Database, kind: Kind, seq: int, groups: Collection[Group]) -> None:
    """Erase from signed events of one kind: from one to three that come after *seq*."""
    table = table_of(kind)
    with database.write() as connection:
        of_it = table.c.seq.between(seq, select(TrailLog.size).scalar_subquery())
        seqs = connection.scalars(select(table.c.seq).where(of_it).order_by(table.c.seq).limit(1 + seq % 3)).all()
        if seqs:
            erase_within(connection, kind, seqs, Erasing(groups, ACTOR, "test"))


class Busy(DatabaseSource):
    """A database in which something happens before each answer."""

    def __init__(self, engine: Engine, happen: Callable[[], None]) -> None:
        super().__init__(engine)
        self._happen = happen

    def head(self) -> Head | None:
        self._happen()
        return super().head()

    def block(self, first: int, last: int) -> Block:
        self._happen()
        return super().block(first, last)

    def tile(self, level: int, number: int) -> bytes | None:
        self._happen()
        return super().tile(level, number)


def found(report: Report) -> list[Finding]:
    return [each for each in report.findings if each.weight is not Weight.NOTE]


ERASURES = st.tuples(st.sampled_from(KINDS), st.integers(1, 299), st.sets(st.sampled_from(Group), min_size=1))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(st.sampled_from(["record", "sign"]) | ERASURES, min_size=1, max_size=12))
def test_whatever_happens_between_two_looks(trail: SignedTrail, recorder: Recorder, script: list[Any]) -> None:
    steps = itertools.cycle(script)

    def happen() -> None:
        match next(steps):
            case "record":
                recorder.record_all([LoginFactory.build(), ErrorFactory.build(), AdminFactory.build()])
            case "sign":
                trail.sign()
            case kind, seq, groups:
                erase(trail.database, kind, seq, groups)

    report = verify(lambda: nullcontext(Busy(trail.database.reader, happen)), Trust([trail.verifier]))
    assert (found(report), report.verdict) == ([], Verdict.PROVEN)


def test_beside_those_who_write_sign_and_erase(trail: SignedTrail, recorder: Recorder) -> None:
    ended, erased = threading.Event(), itertools.count(2)

    def work() -> None:
        with Database(trail.settings.url) as database:
            while not ended.is_set():
                recorder.record_all(LoginFactory.copies(10))
                erase(database, LOGINS, next(erased), [Group.WHO])

    reports: list[Report] = []
    worker = threading.Thread(target=work)
    with trail.signing():
        worker.start()
        try:
            while len(reports) < 5 or reports[-1].checkpoints < reports[0].checkpoints + 2:
                assert worker.is_alive()
                reports.append(verify(DatabaseOpener(trail.settings.url), Trust([trail.verifier])))
        finally:
            ended.set()
            worker.join()
    assert [found(report) for report in reports] == [[]] * len(reports)
    assert reports[0].erased < reports[-1].erased
    assert reports[0].events < reports[-1].events
