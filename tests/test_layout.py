"""Tests are apart from each other: what several of them use is in ``tests/support``."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent


def test_nothing_is_imported_from_a_test_module() -> None:
    found = []
    for path in sorted(TESTS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            found += [f"{path.name}: {name}" for name in names if re.match(r"tests\.(.*\.)?(test_|conftest)", name)]
    assert found == []
