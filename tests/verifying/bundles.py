"""Bundles that tests change, and what a verifier says of them then."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from click.testing import Result

from tests.support.commands import run

Change = Callable[[dict[str, bytes]], None]


def verified(path: Path, *options: object) -> tuple[Result, set[str]]:
    """The result, and the codes of what was found."""
    result = run("verify", str(path), "--json", *map(str, options))
    found = msgspec.json.decode(result.stdout)["findings"] if result.stdout else []
    return result, {each["code"] for each in found}


def replaced(name: str, found: bytes, put: bytes) -> Change:
    def change(files: dict[str, bytes]) -> None:
        assert found in files[name]
        files[name] = files[name].replace(found, put, 1)

    return change


def lines_changed(change: Callable[[list[bytes]], Any]) -> Change:
    def changed(files: dict[str, bytes]) -> None:
        lines = files["events.jsonl"].splitlines(keepends=True)
        change(lines)
        files["events.jsonl"] = b"".join(lines)

    return changed


def read(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def write(path: Path, files: dict[str, bytes], *more: tarfile.TarInfo) -> None:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in more:
            archive.addfile(member)
