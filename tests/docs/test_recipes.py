"""The recipe "A field" of docs/architecture.md, done as it is written in a copy of the code, makes a field."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.documents import checkout, section
from tests.support.server import environment

FILES = 6
STEP = re.compile(r"^(?:\d\. |   )([^\n]*):\n\n   ```\w+\n(.*?)\n   ```$", re.MULTILINE | re.DOTALL)


class Step(NamedTuple):
    """One change: in a *file*, at a *place* in words, this *code*."""

    file: str
    place: str
    code: str


def steps() -> list[Step]:
    recipe = section("docs/architecture.md", "Recipes").split("\n### A field\n")[1].split("\n### ")[0]
    found: list[Step] = []
    for words, code in STEP.findall(recipe):
        named = re.match(r"`([^`]+)`, (.*)", words)
        file, place = named.groups() if named and "/" in named[1] else (found[-1].file, words.removeprefix("and "))
        found.append(Step(file, place, textwrap.dedent("   " + code.lstrip())))
    return found


def do(step: Step, folder: Path) -> None:
    path = folder / step.file
    if step.place == "new":
        assert not path.exists()
        path.write_text(f"{step.code}\n")
        return
    lines = path.read_text().splitlines()
    name = re.findall(r"`([^`]+)`", step.place)[0]
    if step.place.startswith("at the end of "):
        start = next(n for n, line in enumerate(lines) if line.startswith(f"class {name}("))
        end = next(n for n, line in enumerate(lines[start:], start) if line and n > start and not line.startswith(" "))
        while not lines[end - 1]:
            end -= 1
        lines.insert(end, textwrap.indent(step.code, "    "))
    else:
        assert step.place.startswith("below "), step.place
        heading = re.search(r" in the table of (\w+)", step.place)
        start = next((n for n, line in enumerate(lines) if heading and line.lower().startswith(f"## {heading[1]}")), 0)
        after = next(n for n, line in enumerate(lines[start:], start) if line == name or f"`{name}`" in line[:90])
        lines.insert(after + 1, step.code)
    path.write_text("\n".join([*lines, ""]))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the code in which the recipe was followed."""
    folder = checkout(tmp_path / "copy")
    for step in steps():
        do(step, folder)
    return folder


def run(folder: Path, *command: str) -> None:
    environ = environment({}) | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # what they load takes longer than the tests
    words = [sys.executable, "-m", *command]
    done = subprocess.run(words, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_field_is_made_as_the_recipe_says(copy: Path, empty_database_url: str, tmp_path: Path) -> None:
    run(copy, "tests.support.new_field", empty_database_url, str(tmp_path / "data"))


def test_the_recipe_of_a_field_names_all_files(copy: Path) -> None:
    changed = {step.file for step in steps()}
    assert len(changed) == FILES
    options = ("-q", "-p", "xdist.plugin", "-p", "no:cacheprovider")  # conftest has a hook of xdist
    run(copy, "pytest", *options, "tests/docs/test_reference.py", "tests/events/test_kinds.py")
    run(copy, "ruff", "check", "--no-cache", *(name for name in changed if name.endswith(".py")))
