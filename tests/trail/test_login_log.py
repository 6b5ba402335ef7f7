"""``AUDIT_LOGIN_LOG``: a line of text for each login, beside the trail."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from audit_service import login_failed_signal, login_signal, logout_signal
from audit_service.context import context_of
from tests.support.logins import by_seq
from tests.support.plain_host import plain_host

AT_ADDRESS = {"environ_base": {"REMOTE_ADDR": "192.0.2.7"}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "logs/logins.txt"


@pytest.fixture
def logged(file: Path, sqlite_template: Path, tmp_path: Path) -> Iterator[Flask]:
    """A host with the file beside its trail."""
    file.parent.mkdir()
    with plain_host(tmp_path, sqlite_template, AUDIT_LOGIN_LOG=str(file)) as app:
        yield app


def log_in(app: Flask, *names: str) -> None:
    with app.test_request_context(**AT_ADDRESS):
        for name in names:
            login_signal.send(app, username=name)


def names(file: Path) -> list[str]:
    return [line.rsplit("*", 2)[0] for line in file.read_text(encoding="utf-8").split("\n")[:-1]]


def test_a_login_is_a_line_and_nothing_else_is(logged: Flask, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        log_in(logged, "ada")
    finally:
        monkeypatch.undo()
        time.tzset()
    with logged.app_context():
        login_failed_signal.send(username="ada", reason="bad_password")
        logout_signal.send(username="ada")
        login_signal.send(username="李雷")
    first, second = file.read_text(encoding="utf-8").splitlines()
    name, shown, address = first.split("*")
    ada = by_seq(logged)[0]
    in_shanghai = ada.timestamp.astimezone(ZoneInfo("Asia/Shanghai"))
    assert (name, shown, address) == ("ada", f"{in_shanghai:%Y-%m-%d %H:%M:%S.%f}", "192.0.2.7")
    assert second.startswith("李雷*")
    assert second.endswith("*None")
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["a\nb*2026-01-31 12:00:00.000000*::1", "a\rb", "a\u2028b", "a\x85b", "a\x0bb", "*"])
def test_a_line_is_one_whatever_the_name_holds(logged: Flask, file: Path, name: str) -> None:
    log_in(logged, name, "bob")
    assert len(file.read_text(encoding="utf-8").splitlines()) == 2
    assert names(file)[1] == "bob"


def test_a_file_that_was_rotated_is_opened_anew(logged: Flask, file: Path) -> None:
    log_in(logged, "ada")
    file.rename(file.with_suffix(".1"))
    log_in(logged, "bob")
    assert (names(file.with_suffix(".1")), names(file)) == (["ada"], ["bob"])


def test_a_file_that_cannot_be_written_loses_no_event(
    logged: Flask, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log_in(logged, "ada")
    os.replace(file.parent, file.parent.with_name("elsewhere"))  # noqa: PTH105
    log_in(logged, "bob", "eve")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"AUDIT_LOGIN_LOG: {file} cannot be written" in caplog.text
    file.parent.mkdir()
    log_in(logged, "dan")
    assert names(file) == ["dan"]
    assert context_of(logged).recorder.counters.recorded == 4


def test_a_full_disk_loses_no_event(logged: Flask, caplog: pytest.LogCaptureFixture, file: Path) -> None:
    file.symlink_to("/dev/full")
    log_in(logged, "ada")
    assert "No space left on device" in caplog.text
    assert context_of(logged).recorder.counters.recorded == 1


def test_a_pipe_that_nobody_reads_keeps_no_login_waiting(
    logged: Flask, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkfifo(file)
    thread = threading.Thread(target=log_in, args=(logged, "ada"), daemon=True)
    thread.start()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert f"AUDIT_LOGIN_LOG: {file} cannot be written" in caplog.text
