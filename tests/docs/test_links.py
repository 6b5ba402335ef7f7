"""Every link between the documents leads to a file that exists, and to a heading in it."""

import re
from pathlib import Path

import pytest

from tests.support.documents import DOCUMENTS, PROJECT

WITHOUT_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


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
