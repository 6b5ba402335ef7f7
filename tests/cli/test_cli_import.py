"""``audit-service import text``: the lines of the tutorial's file become logins, once."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask

from audit_service import login_signal
from audit_service.vocabulary import Outcome
from tests.support.commands import run, succeed
from tests.support.logins import by_seq
from tests.support.reader import Reader

LINES = """ada*2026-01-31 12:00:00.123456*192.0.2.7
a*b*2026-01-31 12:00:01*::1
李雷*2026-01-31 12:00:02.000001*None
ada*2026-01-31 12:00:00.123456*192.0.2.7
"""
BAD = {
    b"": "is not name*time*address",
    b"ada*2026-01-31 12:00:00": "is not name*time*address",
    b"*2026-01-31 12:00:00*::1": "has no name",
    b"ada*yesterday*::1": "has no time, but 'yesterday'",
    b"ada*2026-02-30 12:00:00*::1": "has no time, but '2026-02-30 12:00:00'",
    b"ada*2026-01-31T12:00:00*::1": "has no time, but '2026-01-31T12:00:00'",
    b"ada*2026-01-31 12:00:00+01:00*::1": "has no time, but '2026-01-31 12:00:00+01:00'",
    b"ada*1969-12-31 12:00:00*::1": "has a time before 1970",
    b"ada*9999-12-31 23:59:59*::1": "has a time in the future: 9999-12-31 23:59:59",
    b"ada*2026-01-31 12:00:00*\x1b[2Jhome": "has no IP address, but '\ufffd[2Jhome'",
    b"\xff*2026-01-31 12:00:00*::1": "is no utf-8",
    b"a" * 65_513 + b"*2026-01-31 12:00:00*::1": "is too long",
    b"a" * 200_000 + b"*2026-01-31 12:00:00*::1": "is too long",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "login_log.txt"
    path.write_text(LINES, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def environ(config: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in config.items():
        monkeypatch.setenv(name, str(value))


def imported(file: Path, *options: str) -> str:
    return succeed("import", "text", str(file), "--timezone", "Europe/Berlin", *options).splitlines()[-1]


def test_each_line_is_a_login(app: Flask, reader: Reader, file: Path) -> None:
    output = succeed("import", "text", str(file), "--timezone", "Europe/Berlin", "--app", "shop").splitlines()
    assert output == [
        "times are taken as those of Europe/Berlin",
        "imported 4, in the trail already 0, skipped 0",
    ]
    items = by_seq(app)
    noon = datetime(2026, 1, 31, 11, tzinfo=UTC)
    assert [(item.username, item.timestamp - noon, item.remote_addr) for item in items] == [
        ("ada", timedelta(microseconds=123456), "192.0.2.7"),
        ("a*b", timedelta(seconds=1), "::1"),
        ("李雷", timedelta(seconds=2, microseconds=1), None),
        ("ada", timedelta(microseconds=123456), "192.0.2.7"),
    ]
    assert {(item.app, item.outcome, item.method, item.request_id) for item in items} == {
        ("shop", Outcome.SUCCESS, None, None)
    }
    assert items[0].network == "192.0.2.0/24"
    assert {(item.id.version, item.id.variant) for item in items} == {(7, UUID(int=2 << 62).variant)}
    (event,) = reader.get("/api/admin-events", action="events_imported").get_json()["items"]
    assert (event["target"], event["details"]) == ("login_log.txt", {"events": 4})


def test_a_line_is_imported_once(app: Flask, file: Path) -> None:
    assert imported(file, "--dry-run") == "would import 4, in the trail already 0, skipped 0"
    assert by_seq(app) == []
    assert imported(file) == "imported 4, in the trail already 0, skipped 0"
    assert imported(file) == "imported 0, in the trail already 4, skipped 0"
    with file.open("a", encoding="utf-8") as opened:
        opened.write(LINES)  # equal lines are as many logins
    moved = file.rename(file.with_suffix(".1"))
    assert imported(moved, "--dry-run") == "would import 4, in the trail already 4, skipped 0"
    assert imported(moved) == "imported 4, in the trail already 4, skipped 0"
    assert "imported 0, in the trail already 8" in succeed("import", "text", str(moved), "--timezone", "UTC")
    assert len(by_seq(app)) == 8


def test_many_lines(app: Flask, file: Path) -> None:
    """More than are stored in one transaction; and the end of the file may lack its line feed."""
    file.write_text("\r\n".join(f"u{n}*2026-01-31 12:00:00.{n:06}*192.0.2.7" for n in range(1201)))
    assert imported(file) == "imported 1201, in the trail already 0, skipped 0"
    assert imported(file) == "imported 0, in the trail already 1201, skipped 0"


def test_what_is_skipped_is_named(app: Flask, file: Path) -> None:
    file.write_bytes(b"\n".join([*BAD, b"bob*2026-01-31 12:00:00*::1", b""]))
    result = run("import", "text", str(file))
    assert result.exit_code == 0
    assert re.findall(r"skipped line (\d+): it (.*)", result.stderr) == [
        (str(number), fault) for number, fault in enumerate(BAD.values(), 1)
    ]
    assert result.stdout.splitlines()[-1] == f"imported 1, in the trail already 0, skipped {len(BAD)}"
    assert [item.username for item in by_seq(app)] == ["bob"]
    file.write_bytes(b"\n" * 100)
    assert "skipped 80 more lines" in run("import", "text", str(file)).stderr


def test_a_file_in_another_encoding(app: Flask, file: Path) -> None:
    file.write_text("李雷*2026-01-31 12:00:02*::1\n", encoding="gbk")
    assert imported(file, "--encoding", "gbk") == "imported 1, in the trail already 0, skipped 0"
    assert [item.username for item in by_seq(app)] == ["李雷"]


def test_a_time_that_the_clock_showed_twice(app: Flask, file: Path) -> None:
    file.write_text(
        "ada*2025-10-26 02:30:00.000000*::1\nbob*2026-03-29 02:30:00.000000*::1\n"
    )  # the second is in no day
    result = run("import", "text", str(file), "--timezone", "Europe/Berlin")
    assert "1 of the times were shown twice" in result.stderr
    assert by_seq(app)[0].timestamp == datetime(2025, 10, 26, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize("options", [["--timezone", "Mars"], ["--timezone", "../x"], ["--encoding", "utf-16"]])
def test_bad_options_are_refused(file: Path, options: list[str]) -> None:
    assert run("import", "text", str(file), *options).exit_code == 2


def test_lines_of_our_own_are_in_the_trail_already(
    make_app: Callable[..., Flask], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(AUDIT_LOGIN_LOG=str(file))
    with app.test_request_context(environ_base={"REMOTE_ADDR": "192.0.2.7"}):
        for name in ("ada", "bob"):
            login_signal.send(app, username=name)
    assert len(file.read_text().splitlines()) == 6
    output = succeed("import", "text", str(file))
    assert output.endswith("imported 4, in the trail already 2, skipped 0\n")
    assert "times are taken as those of the system's zone, now" in output
    assert len(by_seq(app)) == 6
