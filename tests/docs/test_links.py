"""Every link between the documents leads to a file that exists, and to a heading in it."""

import re
from pathlib import Path

import pytest

from tests.support.documents import DOCUMENTS, PROJECT

WITHOUT_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"""(?:\]\(|\bsrc(?:set)?=")([^)\s"]+)[)"]""")


def anchors(document: Path) -> set[str]:
    """Return the names that GitHub gives the headings: in lower case, without punctuation, spaces as hyphens."""
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(document: Path) -> list[str]:
    return LINK.findall(WITHOUT_CODE.sub("", document.read_text()))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    for link in links(document):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), f"no such file: {link}"
        assert PROJECT in target.parents, f"not in the repository: {link}"
        assert not anchor or anchor in anchors(target), f"no such heading: {link}"


def test_the_readme_leads_to_every_document() -> None:
    readme = PROJECT / "README.md"
    linked = {(PROJECT / link.partition("#")[0]).resolve() for link in links(readme)}
    assert {path for path in DOCUMENTS if path != readme} <= linked


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_files_and_targets_that_are_named_exist(document: Path) -> None:
    text = document.read_text()
    named = re.findall(r"`\.?/?((?:audit_service|benchmarks|docs|migrations|tests|\.ci)/[\w./]*)`(?!, new)", text)
    named += re.findall(r"(?:pytest|python) ([\w./]+/[\w./]+)", text)
    assert [name for name in named if not (PROJECT / name).exists()] == []
    targets = re.findall(r"^([a-z-]+):[^#\n]*## ", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", text, re.MULTILINE)) <= {
        pair for target in targets for pair in ((target, ""), ("", target))
    }
