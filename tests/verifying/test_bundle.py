"""A bundle is verified as the database is, and whatever was done to it is found or refused."""

import gzip
import json
import re
import tarfile
from pathlib import Path

import pytest
from sqlalchemy import text

from audit_service.verifying.findings import Code
from tests.support.commands import run
from tests.support.signed_trail import SignedTrail
from tests.verifying.bundles import Change, lines_changed, read, replaced, verified, write


@pytest.mark.parametrize("name", ["history.tar", "history.tar.gz"])
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_bundle_as_it_was_made(signed: SignedTrail, tmp_path: Path, name: str, jobs: int) -> None:
    assert run("bundle", str(tmp_path / name)).exit_code == 0
    result, codes = verified(tmp_path / name, "--vkey", signed.verifier, "-j", jobs)
    assert (result.exit_code, codes) == (0, set()), result.output


def test_without_a_key_nothing_is_proven(signed: SignedTrail, tmp_path: Path) -> None:
    run("bundle", str(tmp_path / "history.tar"))
    result, codes = verified(tmp_path / "history.tar")
    assert (result.exit_code, codes >= {Code.NO_KEY}) == (2, True)


@pytest.mark.parametrize("backend", ["sqlite"])  # bundles of both are the same
def test_which_fields_were_changed_is_said_where_it_is_known(signed: SignedTrail, tmp_path: Path) -> None:
    run("bundle", str(tmp_path / "history.tar"))
    files = read(tmp_path / "history.tar")
    replaced("events.jsonl", "Zo\u00eb".encode(), b"Zoe")(files)
    write(tmp_path / "changed.tar", files)
    with signed.tampering() as connection:
        connection.execute(text("UPDATE login_events SET username = 'zoe' WHERE seq = 5"))
    run("bundle", str(tmp_path / "made-of-it.tar"))  # whose entry fits to the changed name, and not to the leaf
    found = []
    for name in ("changed.tar", "made-of-it.tar"):
        result, _ = verified(tmp_path / name, "--vkey", signed.verifier)
        found.append([(each["code"], each.get("column")) for each in json.loads(result.stdout)["findings"]])
    assert found == [[(Code.ROW_CHANGED, "who")], [(Code.ROW_CHANGED, None)]]


def swap(lines: list[bytes]) -> None:
    lines[99], lines[100] = lines[100], lines[99]


def number_for_time(lines: list[bytes]) -> None:
    lines[9] = re.sub(rb'"recorded_at":"[^"]*"', b'"recorded_at":10', lines[9])


def other_commitment(lines: list[bytes]) -> None:
    """State another commitment in an entry, and leave all of which it is made."""
    stated = re.search(rb'"who":"([0-9a-f]{64})"', lines[9])
    assert stated
    lines[9] = lines[9].replace(stated[1], stated[1][::-1])


def deep(lines: list[bytes]) -> None:
    lines[9] = re.sub(rb'"who":\{.*\n', b'"who":' + b"[" * 5000 + b"]" * 5000 + b"}\n", lines[9])


def told_nothing(lines: list[bytes]) -> None:
    line = lines[0].replace(b'"log_started"', b'"personal_data_erased"')
    lines[0] = re.sub(rb'"who":\{.*\n', b'"who":{}}\n', line)


@pytest.mark.parametrize("backend", ["sqlite"])  # bundles of both are the same
@pytest.mark.parametrize(
    ("change", "code"),
    [
        (replaced("events.jsonl", b'"outcome":"success"', b'"outcome":"failure"'), Code.ROW_CHANGED),
        (replaced("events.jsonl", "Zo\u00eb".encode(), b"Zoe"), Code.ROW_CHANGED),
        (replaced("events.jsonl", b'"who":"', b'"who":"0'), Code.BAD_FORM),
        (lines_changed(other_commitment), Code.BAD_FORM),
        (replaced("events.jsonl", b'"seq":9,', b'"seq": 9,'), Code.MISSING),
        (replaced("events.jsonl", b',"where":', b', "where":'), Code.BAD_FORM),
        (lines_changed(lambda lines: lines.pop(4)), Code.MISSING),
        (lines_changed(lambda lines: lines.pop()), Code.MISSING),
        (lines_changed(lambda lines: lines.insert(4, lines[4])), Code.DUPLICATE_SEQ),
        (lines_changed(lambda lines: lines.append(lines[4])), Code.OUT_OF_RANGE),
        (lines_changed(number_for_time), Code.BAD_FORM),
        (lines_changed(deep), Code.BAD_FORM),
        (lines_changed(told_nothing), Code.ROW_CHANGED),
        (lines_changed(swap), Code.OUT_OF_RANGE),
        (lambda files: files.pop("tile/0/001"), Code.TILE_CHANGED),
        (lambda files: files.update({"tile/0/001": bytes(8192)}), Code.TILE_CHANGED),
        (lambda files: files.update({"tile/1/000.p/2": bytes(64)}), Code.TILE_CHANGED),
        (replaced("checkpoint", b"\n65", b"\n64"), Code.BAD_CHECKPOINT),
    ],
)
def test_what_was_changed_is_found(signed: SignedTrail, tmp_path: Path, change: Change, code: Code) -> None:
    run("bundle", str(tmp_path / "history.tar.gz"))
    files = read(tmp_path / "history.tar.gz")
    change(files)
    write(tmp_path / "changed.tar", files)
    result, codes = verified(tmp_path / "changed.tar", "--vkey", signed.verifier)
    assert result.exit_code == 1, result.output
    assert code in codes


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_number_that_is_too_large_for_a_seq(signed: SignedTrail, tmp_path: Path) -> None:
    run("bundle", str(tmp_path / "history.tar"))
    line = b'{"by_seq":9,"commitment":"%b","group":"who","seq":5,"seq":%d}\n' % (b"00" * 32, 10**20)
    write(tmp_path / "changed.tar", {**read(tmp_path / "history.tar"), "erasures.jsonl": line})
    result, codes = verified(tmp_path / "changed.tar", "--vkey", signed.verifier, "-j", 1)
    assert (result.exit_code, Code.OUT_OF_RANGE in codes) == (1, True), result.output


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_terminal_obeys_nothing_in_a_bundle(signed: SignedTrail, tmp_path: Path) -> None:
    run("bundle", str(tmp_path / "history.tar"))
    line = b'{"by_seq":9,"commitment":"00","group":"who","seq":5,"\\u001b[2J":0}\n'
    write(tmp_path / "changed.tar", {**read(tmp_path / "history.tar"), "erasures.jsonl": line})
    result, _ = verified(tmp_path / "changed.tar", "--vkey", signed.verifier, "-j", 1)
    assert (result.exit_code, r"\u001b[2J" in result.stderr, "\x1b[2J" in result.stderr) == (2, True, False)


def info(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    "member",
    [
        info("/etc/passwd"),
        info("../manifest.json"),
        info("manifest.json"),
        info("tile/0/001", tarfile.SYMTYPE, "/etc/passwd"),
        info("tile/0/999", tarfile.LNKTYPE, "checkpoint"),
        info("tile/0/999", tarfile.FIFOTYPE),
        info("tile/0/999", tarfile.GNUTYPE_SPARSE),
        info("checkpoints/0123456789abcdef/007"),
        info("tile/0/999/"),
        info("unknown"),
        info("tile/" + "x000/" * 30 + "000"),
    ],
    ids=lambda member: f"{member.name[:20]}-{member.type!r}",
)
def test_members_that_a_bundle_has_not(signed: SignedTrail, tmp_path: Path, member: tarfile.TarInfo) -> None:
    run("bundle", str(tmp_path / "history.tar.gz"))
    write(tmp_path / "changed.tar", read(tmp_path / "history.tar.gz"), member)
    result, _ = verified(tmp_path / "changed.tar", "--vkey", signed.verifier)
    assert result.exit_code == 2
    assert "a bundle has no such member" in result.stderr


@pytest.mark.parametrize("backend", ["sqlite"])
def test_what_is_no_bundle(signed: SignedTrail, tmp_path: Path) -> None:
    run("bundle", str(tmp_path / "history.tar.gz"))
    files, path = read(tmp_path / "history.tar.gz"), tmp_path / "other"
    whole = (tmp_path / "history.tar.gz").read_bytes()
    for content, told in (
        (b"", "it has no manifest.json"),
        (b"x" * 2000, "this is no bundle"),
        (whole[:-1000], "the bundle is damaged"),
        (gzip.decompress(whole)[:-100_000], "is cut off"),
        (gzip.compress(bytes(10_000_000)), "more than 100 times as large"),
    ):
        path.write_bytes(content)
        result, _ = verified(path, "--vkey", signed.verifier)
        assert (result.exit_code, told in result.stderr) == (2, True), result.output
    for name, content, told in (
        ("manifest.json", b"{}", "manifest.json is not what it has to be"),
        (
            "manifest.json",
            files["manifest.json"].replace(b"bundle/1", b"bundle/2"),
            "this is no audit-service-bundle/1",
        ),
        ("events.jsonl", b'{"entry":{' + b"x" * 2_000_000 + b"}\n", "longer than 1048576 bytes"),
        ("events.jsonl", files["events.jsonl"][:-1], "has no end"),
        ("erasures.jsonl", b'{"seq":1}\n', "a line of erasures.jsonl is not what it has to be"),
        ("checkpoint", bytes(2_000_000), "is larger than 65536 bytes"),
    ):
        write(path, {**files, name: content})
        result, _ = verified(path, "--vkey", signed.verifier)
        assert (result.exit_code, told in result.stderr) == (2, True), result.output
