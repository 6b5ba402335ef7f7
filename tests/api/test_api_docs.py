"""The API's documentation: the page, the words of the problems, and docs/api.md, whose commands run as written."""

import re
from collections.abc import Iterator
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from audit_service.access.tokens import add_token
from audit_service.api import documentation
from audit_service.api.document import document
from audit_service.trail.recorder import Recorder
from audit_service.vocabulary import Scope
from audit_service.web.problems import PROBLEM_TYPES, problem_type
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.accounts import ACTOR
from tests.support.commands import as_written
from tests.support.server import running_service
from tests.support.signed_trail import SignedTrail

PATH = "/api/problems/"
DOCUMENT = (Path(__file__).parent.parent.parent / "docs/api.md").read_text()
DESCRIBED = document("", "/api", "/trail")


class Links(HTMLParser):
    """What a page loads, where it leads to, and what its policy would not let it do."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.leads_to: list[str] = []
        self.names: list[str] = []
        self.inline: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.loaded += [given[name] for name in ("src", "srcset", "data", "action") if name in given]
        if "href" in given:
            (self.loaded if tag == "link" else self.leads_to).append(given["href"])
        self.names += [given["id"]] if "id" in given else []
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        self.inline += [tag] if tag in ("style", "script") else []


@pytest.mark.parametrize("mount", ["", "/audit"])
def test_the_page_needs_no_login_and_nothing_from_elsewhere(client: FlaskClient, mount: str) -> None:
    check_page(client, mount, DESCRIBED)


def test_the_page_in_a_host_app(host: Flask) -> None:
    check_page(host.test_client(), "", document("", "/api", "/api/trail"))


def check_page(client: FlaskClient, mount: str, described: dict[str, Any]) -> None:
    where = {"SCRIPT_NAME": mount}
    answer = client.get("/api/docs", environ_overrides=where)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "style-src 'self';" in policy
    page = Links(answer.text)
    assert page.inline == []
    assert len(set(page.names)) == len(page.names)
    icon, sheet = page.loaded
    assert icon == "data:,"
    style = client.get(sheet.removeprefix(mount))
    assert style.mimetype == "text/css"
    assert "url(" not in style.text
    style.close()
    for link in page.leads_to:
        parts = urlsplit(urljoin(f"{mount}/api/docs", link))
        assert parts.netloc == ""
        assert parts.path.startswith(f"{mount}/api/")
        assert not link.startswith("#") or parts.fragment in page.names
        assert client.get(parts.path.removeprefix(mount)).status_code == 200
    for path, methods in described["paths"].items():
        assert f"GET {path}</code>" in answer.text
        assert f"http://localhost{mount}{path}" in answer.text
        for parameter in methods["get"]["parameters"]:
            assert f"<code>{parameter['name']}</code>" in answer.text


@pytest.mark.parametrize("backend", ["sqlite"])
@pytest.mark.parametrize(
    ("path", "made"), [("openapi.json", documentation._document), ("docs", documentation._as_html)]
)
def test_descriptions_are_made_once_and_have_an_etag(client: FlaskClient, path: str, made: Any) -> None:
    path = f"/api/{path}"
    made.cache_clear()
    answers = [client.get(path, environ_overrides={"SCRIPT_NAME": mount}) for mount in ("", "/audit", "")]
    assert (made.cache_info().misses, made.cache_info().hits) == (2, 1)
    root, mounted, again = (answer.headers["ETag"] for answer in answers)
    assert root == again != mounted
    assert answers[0].data == answers[2].data != answers[1].data
    assert answers[0].headers["Cache-Control"] == "no-cache"
    same = client.get(path, headers={"If-None-Match": root})
    assert (same.status_code, same.data) == (304, b"")
    assert client.get(path, headers={"If-None-Match": mounted}).status_code == 200
    for n in range(20):  # where it is mounted, and its name, may be what anybody likes
        client.get(path, environ_overrides={"SCRIPT_NAME": f"/{n}"})
    assert made.cache_info().currsize < 10
    page = client.get(path, base_url="http://another.example")
    assert ("another.example" in page.text) is (path == "/api/docs")


def test_every_problem_that_can_be_answered_is_explained(client: FlaskClient) -> None:
    page = client.get("/api/docs").text
    for known in PROBLEM_TYPES:
        assert client.get(PATH + known.name).get_json()["meaning"] == known.meaning
        assert f'id="{known.name}"' in page
        assert f"| `{PATH}{known.name}` | {known.status} |" in DOCUMENT
    assert DOCUMENT.count(f"| `{PATH}") == len(PROBLEM_TYPES)
    for status in (400, 401, 403, 404, 405, 409, 410, 411, 413, 415, 422, 429, 500, 503):
        for has_parameter in (False, True):
            assert problem_type(status, has_parameter=has_parameter) in PROBLEM_TYPES


@pytest.mark.parametrize("path", ["/api/logins", "/api/nothing", "/nothing", "/login/x"])
def test_the_type_of_a_problem_leads_to_its_words(client: FlaskClient, path: str) -> None:
    problem = client.get(path, environ_overrides={"SCRIPT_NAME": "/audit"}).get_json()
    assert problem["type"].startswith("/audit/api/problems/")
    assert client.get(problem["type"].removeprefix("/audit")).get_json()["status"] == problem["status"]


@pytest.fixture
def service(recorder: Recorder, engine: Engine, database_url: str, tmp_path: Path) -> Iterator[tuple[str, str]]:
    for kind in (LoginFactory, ErrorFactory, AdminFactory):
        kind()
    LoginFactory(username="ada", failed=True)
    with Session(engine) as session:
        token = add_token(session, "reader", Scope.READ, by=ACTOR)
        session.commit()
    with closing(SignedTrail(database_url, tmp_path / "signer")) as trail:
        trail.sign()
    settings = {"AUDIT_DATABASE_URL": database_url, "AUDIT_SECRET_KEY": "a secret key for tests"}
    with running_service({**settings, "AUDIT_DATA_DIR": tmp_path / "data"}) as url:
        yield url, token


def test_the_commands_of_the_document(service: tuple[str, str], tmp_path: Path) -> None:
    url, token = service
    first, *blocks = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    assert first.startswith("TOKEN=$(audit-service tokens add --scope read ")
    printed = as_written(f"TOKEN={token}\n" + "".join(blocks), tmp_path, url)
    *answers, problem = [line for line in printed if line.startswith("{")]
    assert f"`{problem}`" in DOCUMENT
    assert [line for line in answers if '"detail":"' in line] == []
    assert (tmp_path / "failures.csv").read_text().count(",ada,") == 1
    asked = set(re.findall(r"/(?:api|trail)/[a-z/.-]*[a-z]", "".join(blocks).replace("/$ID", "")))
    described = {path.replace("/{event_id}", "").split("{")[0] for path in DESCRIBED["paths"]}
    alike = {path for path in described if path.endswith((".csv", ".ndjson", "errors/proof", "admin-events/proof"))}
    assert asked >= {path.rstrip("/") for path in described - alike} - {"/api/problems"}


def test_every_parameter_and_route_is_in_the_document() -> None:
    for path, methods in DESCRIBED["paths"].items():
        named = path.replace("{event_id}", "<id>").replace("{name}", "<name>").replace("{tile}", "<tile>")
        assert f"`{named}`" in DOCUMENT or path.endswith((".csv", ".ndjson"))
        for parameter in methods["get"]["parameters"]:
            if parameter["in"] == "query":
                assert f"`{parameter['name']}`" in DOCUMENT, parameter["name"]
