"""docs/reports.md: what it says of making an id makes ids, in each language."""

import subprocess
import sys
import time
from uuid import RFC_4122, UUID

import pytest

from tests.support.documents import blocks, section

COMMANDS = {"bash": ["bash", "-euc"], "js": ["node", "-e"], "python": [sys.executable, "-c"]}


@pytest.mark.parametrize("language", COMMANDS)
def test_a_recipe_makes_a_new_uuid7(language: str) -> None:
    (recipe,) = blocks(section("docs/reports.md", "Making an id"), language)
    before = time.time_ns() // 1_000_000
    made = [
        UUID(subprocess.run([*COMMANDS[language], recipe], capture_output=True, text=True, check=True).stdout.strip())
        for _ in range(2)
    ]
    after = time.time_ns() // 1_000_000
    assert {(each.version, each.variant) for each in made} == {(7, RFC_4122)}
    assert before <= made[0].int >> 80 <= made[1].int >> 80 <= after
    assert made[0].int & (1 << 62) - 1 != made[1].int & (1 << 62) - 1
