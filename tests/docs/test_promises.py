"""The documents that promise something: each promise names a test that exists."""

import re

import pytest

from tests.support.documents import PROJECT, read, section


def rows(text: str) -> list[str]:
    heads = ("| proved by |", "| proof |")
    return [line for line in text.splitlines() if line.startswith("| ") and not line.endswith(heads)]


GUARANTEES, SECURITY = (rows(read(f"docs/{name}.md").split("## Measured")[0]) for name in ("guarantees", "security"))
README = rows(section("README.md", "Promises"))


@pytest.mark.parametrize(("promises", "least"), [(GUARANTEES, 55), (SECURITY, 65), (README, 4)])
def test_every_promise_names_a_test_that_exists(promises: list[str], least: int) -> None:
    tests = set(re.findall(r"def (test_\w+)", "".join(path.read_text() for path in (PROJECT / "tests").rglob("*.py"))))
    assert len(promises) >= least
    for row in promises:
        named = set(re.findall(r"`(test_\w+)`", row))
        assert named, f"no test is named: {row}"
        assert named <= tests, f"no such test: {named - tests}"
