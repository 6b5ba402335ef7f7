"""The documents as tests read them: their sections, tables and commands, and a checkout to run these in."""

import re
import shutil
import subprocess
from pathlib import Path

PROJECT = Path(__file__).parents[2]
DOCUMENTS = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])


def read(document: str) -> str:
    return (PROJECT / document).read_text()


def section(document: str, heading: str) -> str:
    """Return the text below a heading of the second level."""
    return read(document).split(f"\n## {heading}\n")[1].split("\n## ")[0]


def blocks(text: str, language: str = "sh") -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def table(document: str, heading: str) -> list[list[str]]:
    """Return the rows of the tables below a heading, without their heads."""
    lines = [line for line in section(document, heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def checkout(folder: Path) -> Path:
    """Copy the files of the repository, and no others, to *folder*."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (PROJECT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, folder / name)
    return folder
