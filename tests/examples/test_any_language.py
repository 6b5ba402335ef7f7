"""``examples/any_language``: each reports to a running service as its README says."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.documents import PROJECT, blocks
from tests.support.in_thread import serving
from tests.support.server import environment, running_service

EXAMPLE = PROJECT / "examples/any_language"
PROGRAMS = {
    "curl": [str(EXAMPLE / "report.sh")],
    "node": ["node", str(EXAMPLE / "report.mjs")],
    "python": [sys.executable, str(EXAMPLE / "report.py")],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that looks like the repository's root to the commands."""
    (tmp_path / "examples").symlink_to(PROJECT / "examples")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/audit-service").symlink_to(Path(sys.executable).parent / "audit-service")
    return tmp_path


def run(program: str, *arguments: str, url: str) -> "subprocess.CompletedProcess[str]":
    environ = {**environment({}), "REPORT_URL": url, "REPORT_TOKEN": "aud_test"}
    return subprocess.run(
        [*PROGRAMS[program], *arguments], env=environ, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("backend", ["sqlite"])
def test_the_commands_run_as_written(folder: Path, config: dict[str, object]) -> None:
    make_token, report, read = blocks((EXAMPLE / "README.md").read_text())
    with running_service(config) as url:
        script = f"{make_token}{report}{read}".replace("http://127.0.0.1:8000", url)
        done = subprocess.run(
            ["bash", "-euc", script], cwd=folder, env=environment(config), capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    *ids, first, second, third = done.stdout.splitlines()
    events = [json.loads(line) for line in (first, second, third)]
    assert [event["id"] for event in events] == ids
    assert [(event["username"], event["outcome"], event["reason"], event["remote_addr"]) for event in events] == [
        ("ada", "success", None, "192.0.2.7"),
        ("bob", "failure", "other", "192.0.2.8"),
        ("李雷", "success", None, "2001:db8::7"),
    ]


@contextmanager
def listening(*statuses: int) -> Iterator[tuple[str, list[Any]]]:
    """A server that answers with these *statuses*, one after the other; yields its URL and what it was sent."""
    left, sent = list(statuses), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            sent.append((self.headers["Authorization"], self.headers["Content-Type"], body))
            self.send_response(left.pop(0))
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield f"{url}/login/", sent


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_report_without_an_answer_is_sent_again_under_its_id(program: str) -> None:
    with listening(503, 200) as (url, sent):
        done = run(program, 'a"b\\c', "success", "192.0.2.7", url=url)
    assert done.returncode == 0, done.stderr
    assert sent == [sent[0]] * 2
    authorization, content_type, body = sent[0]
    assert (authorization, content_type) == ("Bearer aud_test", "application/json")
    assert body == {"id": done.stdout.strip(), "username": 'a"b\\c', "outcome": "success", "remote_addr": "192.0.2.7"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_refused_report_is_not_sent_again(program: str) -> None:
    with listening(422) as (url, sent):
        done = run(program, "ada", "success", "192.0.2.7", url=url)
    assert (done.returncode != 0, done.stdout.strip(), len(sent)) == (True, "", 1)
    assert "422" in done.stderr
