"""A trail that a signer works on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit_service.signing import loop
from audit_service.signing.signer import Signer
from audit_service.trail.recorder import Recorder
from tests.support.signed_trail import SignedTrail, StartedTrail


@pytest.fixture
def trail(database_url: str, recorder: Recorder, tmp_path: Path) -> Iterator[SignedTrail]:
    """A log with nothing in it yet but the event of its begin; the factories store beside it."""
    made = SignedTrail(database_url, tmp_path / "data")
    made.start()
    yield made
    made.close()


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[Signer]:
    """The signers that a signer at work has opened: one at its start, and one after each trouble."""
    opened: list[Signer] = []

    def open_again(*arguments: Any, **options: Any) -> Signer:
        opened.append(Signer(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(loop, "Signer", open_again)
    return opened


@pytest.fixture(autouse=True)
def closed_trails() -> Iterator[None]:
    yield
    StartedTrail.close_all()
