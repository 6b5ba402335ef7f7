"""docs/architecture.md: its floors are those of the import contract."""

import re
import tomllib

from tests.support.documents import PROJECT, blocks, read, section, table

ARCHITECTURE = "docs/architecture.md"


def layers() -> list[set[str]]:
    settings = tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]
    (contract,) = [each for each in settings["contracts"] if each["type"] == "layers"]
    return [set(layer.split(" | ")) for layer in contract["layers"]]


def test_the_floors_are_those_of_the_contract() -> None:
    rows = table(ARCHITECTURE, "Floors")
    assert [set(re.findall(r"`(\w+)`", row[1])) for row in rows] == layers()
    assert [row[0] for row in rows] == [str(floor) for floor in range(len(rows), 0, -1)]


def test_the_drawings_name_modules_that_exist() -> None:
    for heading in ("The way of an event", "The way of a question"):
        (drawing,) = blocks(section(ARCHITECTURE, heading), "mermaid")
        modules = re.findall(r"\b([a-z]+/[a-z_]+)\b", re.sub(r'"GET [^"]*"|<br>', " ", drawing))
        assert len(modules) > 3
        for module in modules:
            assert (PROJECT / f"audit_service/{module}.py").exists(), module
