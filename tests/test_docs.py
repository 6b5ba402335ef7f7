"""The documents: what they name exists."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent


@pytest.mark.parametrize(("document", "least"), [("guarantees", 20), ("security", 45)])
def test_every_promise_names_a_test_that_exists(document: str, least: int) -> None:
    tests = set(re.findall(r"def (test_\w+)", "".join(path.read_text() for path in (PROJECT / "tests").rglob("*.py"))))
    promised = (PROJECT / f"docs/{document}.md").read_text().split("## Measured")[0]
    rows = [line for line in promised.splitlines() if line.startswith("| ") and not line.endswith("| proved by |")]
    assert len(rows) > least
    for row in rows:
        named = set(re.findall(r"`(test_\w+)`", row))
        assert named, f"no test is named: {row}"
        assert named <= tests, f"no such test: {named - tests}"


def test_every_document_is_in_the_readme() -> None:
    readme = (PROJECT / "README.md").read_text()
    for path in (PROJECT / "docs").glob("*.md"):
        assert f"docs/{path.name}" in readme
