"""A bundle of a part proves the events in it, and says that it proves no others."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from audit_service.verifying.findings import Code
from tests.support.commands import run
from tests.support.signed_trail import SignedTrail
from tests.verifying.bundles import Change, lines_changed, read, replaced, verified, write

FIRST, LAST = 250, 610  # of a part, which is in three tiles of leaves


def bundle(path: Path, first: int, last: int) -> Path:
    done = run("bundle", str(path), "--from", str(first), "--to", str(last))
    assert done.exit_code == 0, done.output
    return path


@pytest.mark.parametrize("backend", ["sqlite"])  # bundles of both are the same
def test_a_part_as_it_was_made(signed: SignedTrail, tmp_path: Path) -> None:
    size = signed.newest().size
    for first, last, jobs in ((1, 1, 1), (FIRST, LAST, 2), (257, 512, 1), (600, size, 1)):
        path = bundle(tmp_path / f"{first}.tar", first, last)
        result, codes = verified(path, "--vkey", signed.verifier, "-j", jobs)
        assert (result.exit_code, codes) == (0, set()), result.output
        told = msgspec.json.decode(result.stdout)
        assert told["part"] == {"first": first, "last": last}
        what = "event 1, recorded at" if last == 1 else f"all events {first} to {last}, the last one recorded at"
        assert told["conclusion"].startswith(f"proven: {what}")
        assert told["conclusion"].endswith("; nothing is said of events before and after")


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_part_across_blocks(signed: SignedTrail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("block_tree", "walk", "tree"):  # as if it had 65,536 events for each 256
        monkeypatch.setattr(f"audit_service.verifying.{module}.LENGTH", 256)
    for first, last in ((FIRST, LAST), (257, 512), (512, 513)):
        path = bundle(tmp_path / f"{first}.tar", first, last)
        result, codes = verified(path, "--vkey", signed.verifier, "-j", 1)
        assert (result.exit_code, codes) == (0, set()), result.output


def first_proof(lines: list[bytes]) -> None:
    """Change a hash of the proof of the first line, which stands for what is on its left."""
    texts = msgspec.json.decode(lines[0])["proof"]
    lines[0] = lines[0].replace(texts[0].encode(), texts[1].encode())


def no_proof(lines: list[bytes]) -> None:
    lines[5] = re.sub(rb',"proof":\[.*\n', b"}\n", lines[5])


def swapped_proofs(lines: list[bytes]) -> None:
    proofs = [re.search(rb',"proof":\[.*', line) for line in lines[5:7]]
    one, other = (each[0] for each in proofs if each)
    lines[5], lines[6] = lines[5].replace(one, other), lines[6].replace(other, one)


def other_event(lines: list[bytes]) -> None:
    """Put an event in the place of another, with its own proof."""
    lines[5] = lines[6].replace(b'"seq":256,', b'"seq":255,')


CHANGES: list[tuple[Change, set[tuple[Code, int]]]] = [
    (replaced("events.jsonl", b'"outcome":"success"', b'"outcome":"failure"'), {(Code.ROW_CHANGED, FIRST)}),
    (replaced("events.jsonl", "Zo\u00eb".encode(), b"Zoe"), {(Code.ROW_CHANGED, FIRST)}),
    (replaced("events.jsonl", b',"where":', b', "where":'), {(Code.BAD_FORM, FIRST)}),
    (lines_changed(lambda lines: lines.pop(0)), {(Code.MISSING, FIRST)}),
    (lines_changed(lambda lines: lines.pop(4)), {(Code.MISSING, FIRST + 4)}),
    (lines_changed(lambda lines: lines.pop()), {(Code.MISSING, LAST)}),
    (lines_changed(lambda lines: lines.clear()), {(Code.MISSING, FIRST)}),
    (lines_changed(lambda lines: lines.insert(4, lines[4])), {(Code.DUPLICATE_SEQ, 254), (Code.OUT_OF_RANGE, 254)}),
    (lines_changed(first_proof), {(Code.ROW_CHANGED, FIRST)}),
    (lines_changed(no_proof), {(Code.TILE_CHANGED, FIRST + 5)}),
    (lines_changed(swapped_proofs), {(Code.TILE_CHANGED, FIRST + 5), (Code.TILE_CHANGED, FIRST + 6)}),
    (lines_changed(other_event), {(Code.ROW_CHANGED, FIRST + 5)}),
    (replaced("manifest.json", b'"from": 250', b'"from": 249'), {(Code.MISSING, FIRST - 1)}),
    (replaced("manifest.json", b'"to": 610', b'"to": 609'), {(Code.OUT_OF_RANGE, LAST)}),
    (replaced("checkpoint", b"\n65", b"\n64"), {(Code.BAD_CHECKPOINT, 643)}),
]


@pytest.mark.parametrize("backend", ["sqlite"])
def test_what_was_changed_is_found(signed: SignedTrail, tmp_path: Path) -> None:
    part = bundle(tmp_path / "part.tar", FIRST, LAST)
    for place, (change, expected) in enumerate(CHANGES):
        files = read(part)
        change(files)
        write(tmp_path / "changed.tar", files)
        result, _ = verified(tmp_path / "changed.tar", "--vkey", signed.verifier, "-j", 1)
        findings: list[dict[str, Any]] = msgspec.json.decode(result.stdout)["findings"]
        found = {(each["code"], each.get("seq")) for each in findings}
        assert (result.exit_code, found) == (1, expected), place


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_part_and_checkpoints_from_elsewhere(signed: SignedTrail, tmp_path: Path) -> None:
    older, newest = tmp_path / "older", tmp_path / "newest"
    older.write_text(run("trail", "checkpoint", "--size", "603").stdout)
    newest.write_bytes(signed.note())
    path, seen = bundle(tmp_path / "part.tar", FIRST, LAST), tmp_path / "seen"
    result, codes = verified(
        path, "--vkey", signed.verifier, "--against", older, "--against", newest, "--remember", seen
    )
    assert (result.exit_code, codes, seen.exists()) == (0, set(), False), result.output
    newest.write_text("no checkpoint\n")
    result, _ = verified(path, "--vkey", signed.verifier, "--against", newest)
    assert (result.exit_code, f"{newest} is no checkpoint: " in result.stderr) == (2, True)
    result, codes = verified(bundle(tmp_path / "other.tar", 1, 9), "--vkey", signed.verifier, "--against", older)
    assert (result.exit_code, codes) == (2, {Code.NOT_COMPARED})


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_part_with_an_erased_event(signed: SignedTrail, tmp_path: Path) -> None:
    before = signed.newest().size
    assert run("erase", "--username", "Zo\u00eb", "--reason", "asked for", "--yes").exit_code == 0
    notice = signed.sign().size
    for last in (before, notice):  # without the event that tells of it, and with it
        path = bundle(tmp_path / f"{last}.tar", FIRST, last)
        result, codes = verified(path, "--vkey", signed.verifier)
        assert (result.exit_code, codes) == (0, set()), result.output
        assert "personal data of 351 events were erased" in result.stdout
    files = read(path)
    replaced("erasures.jsonl", b'"by_seq":%d' % notice, b'"by_seq":%d' % before)(files)
    write(path, files)
    assert verified(path, "--vkey", signed.verifier)[1] == {Code.ERASURE_NOT_SIGNED}


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_part_of_no_events(signed: SignedTrail, tmp_path: Path) -> None:
    part = bundle(tmp_path / "part.tar", 1, 9)
    for first, last in ((0, 9), (10, 9), (1, 10_000), (-5, 1)):
        files = read(part)
        replaced("manifest.json", b'"from": 1', b'"from": %d' % first)(files)
        replaced("manifest.json", b'"to": 9', b'"to": %d' % last)(files)
        write(tmp_path / "changed.tar", files)
        result, _ = verified(tmp_path / "changed.tar", "--vkey", signed.verifier)
        assert (result.exit_code, "it says that there are events" in result.stderr) == (2, True), result.output
