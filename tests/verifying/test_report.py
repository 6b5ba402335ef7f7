"""The last line of what a verifier says."""

import pytest

from audit_service.proofs.checkpoint import Checkpoint
from audit_service.verifying.checkpoints import Known
from audit_service.verifying.findings import Code, Finding
from audit_service.verifying.report import Report

KNOWN = Known(Checkpoint("example", 9, bytes(32)), b"", "the history", ["KEY"], {}, is_trusted=True, is_enough=True)


@pytest.mark.parametrize(
    ("unsigned", "erased", "declared", "end"),
    [
        (0, 0, 0, "signed by KEY"),
        (1, 0, 0, "; 1 newer event is not signed yet"),
        (2, 1, 0, "; 2 newer events are not signed yet; personal data of 1 event were erased"),
        (0, 5, 0, "signed by KEY; personal data of 5 events were erased"),
        (0, 0, 1, "signed by KEY; 1 event was declared missing"),
        (0, 2, 2, "; personal data of 2 events were erased; 2 events were declared missing"),
    ],
)
def test_the_conclusion_counts_what_there_is(unsigned: int, erased: int, declared: int, end: str) -> None:
    report = Report()
    report.proven = KNOWN
    report.unsigned, report.erased, report.declared = unsigned, erased, declared
    assert report.conclusion().endswith(end)


def test_without_a_key_it_counts_too() -> None:
    report = Report()
    report.proven, report.unsigned = KNOWN, 2
    report.add(Finding(Code.NO_KEY, "no key was given"))
    assert report.conclusion().startswith("self-consistent only: events 1 to 9 are those of the checkpoint of 9, ")
    assert report.conclusion().endswith("; 2 newer events are not signed yet")
