"""The OpenAPI document: it is valid, it says everything, and what it says is so."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from sqlalchemy import Engine, make_url, text
from werkzeug.test import TestResponse

from audit_service.api.document import document
from audit_service.api.schemas import VISIBLE
from audit_service.app import db
from audit_service.values.text import fit
from audit_service.vocabulary import Role
from audit_service.web.problems import PROBLEM_TYPES
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.accounts import PASSWORD
from tests.support.signed_trail import SignedTrail

DOCUMENT = document("", "/api", "/trail")
OPERATIONS = {path: methods["get"] for path, methods in DOCUMENT["paths"].items()}
REQUIRED = {
    "/api/logins/summary": "?by=day",
    "/api/logins/last": "?username=ada",
    "/trail/consistency": "?old=1",
}
TILES = {"/trail/tile/{tile}": "0/000", "/trail/tile/entries/{tile}": "000"}
Database = Callable[[], None]


def conforms(answer: TestResponse, path: str) -> None:
    """Fail unless the document has the answer's status, media type and, of JSON, its content, and names all fields."""
    documented = OPERATIONS[path]["responses"][str(answer.status_code)]
    assert bool(answer.data) is (answer.status_code != 304)  # reads an export to its end, too
    if answer.status_code == 304:
        return
    schema = documented["content"][answer.mimetype]["schema"]
    if answer.is_json:
        validator = Draft202012Validator({**schema, "components": DOCUMENT["components"]}, validate_formats=True)
        validator.validate(answer.get_json())
        assert_named(answer.get_json(), schema)


def assert_named(value: Any, schema: dict[str, Any]) -> None:
    if "discriminator" in schema:
        chosen = schema["discriminator"]
        schema = {"$ref": chosen["mapping"][value[chosen["propertyName"]]]}
    for option in schema.get("anyOf", []):
        if value is not None and option.get("type") != "null":
            assert_named(value, option)
    if "$ref" in schema:
        assert_named(value, DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    if isinstance(value, dict) and "properties" in schema:
        assert value.keys() <= schema["properties"].keys()
        for name, field in value.items():
            assert_named(field, schema["properties"][name])
    for item in value if isinstance(value, list) and "items" in schema else []:
        assert_named(item, schema["items"])


@pytest.fixture
def history(app: Flask) -> dict[str, str]:
    """A history with every field filled, and with every field null that may be; an id of each collection."""
    full = {"details": {"a": [1, None, {"b": 0.5}]}, "method": "password", "username": "ada"}
    for made in ({"remote_addr": None, "request_id": None, "user_agent": None}, {"failed": True, **full}, full):
        login = LoginFactory(**made)
    LoginFactory(logout=True)
    ErrorFactory(anonymous=True, http_method=None, path=None, endpoint=None, remote_addr=None, request_id=None)
    error = ErrorFactory()
    AdminFactory(target=None)
    event = AdminFactory(details={"count": 3})
    return {"logins": login.id, "errors": error.id, "admin-events": event.id}


@pytest.fixture
def log(app: Flask, database_url: str, tmp_path: Path) -> Iterator[SignedTrail]:
    with closing(SignedTrail(database_url, tmp_path / "signer")) as trail:
        yield trail


def concrete(path: str, ids: dict[str, str]) -> str:
    collection = path.split("/")[2]
    tile = TILES.get(path)
    return path.format(event_id=ids.get(collection), name="not-found", tile=tile) + REQUIRED.get(path, "")


def test_the_document_is_valid(client: FlaskClient) -> None:
    answer = client.get("/api/openapi.json")
    assert answer.get_json() == DOCUMENT
    OpenAPIV31SpecValidator(answer.get_json()).validate()
    mounted = client.get("/api/openapi.json", environ_overrides={"SCRIPT_NAME": "/audit"}).get_json()
    assert mounted == {**DOCUMENT, "servers": [{"url": "/audit"}]}


def test_every_route_is_in_the_document_and_no_other(app: Flask) -> None:
    others = ("audit_api.static", "not_here")  # a style sheet, and what is nowhere
    rules = {rule.rule for rule in app.url_map.iter_rules() if rule.endpoint not in others}
    ours = {re.sub("<(?:path:)?(.*?)>", r"{\1}", rule) for rule in rules if rule.startswith(("/api/", "/trail/"))}
    assert ours == set(OPERATIONS)
    names = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", [path for path in OPERATIONS if "400" in OPERATIONS[path]["responses"]])
@pytest.mark.parametrize("backend", ["sqlite"])  # the parameters are read before any database is asked
def test_the_documented_parameters_are_those_that_are_taken(
    client: FlaskClient, token: dict[str, str], path: str, log: SignedTrail
) -> None:
    log.sign()
    detail = client.get(path, query_string={"nonsense": "1"}, headers=token).get_json()["detail"]
    documented = [each for each in OPERATIONS[path]["parameters"] if each["in"] == "query"]
    names = [each["name"] for each in documented]
    assert detail.endswith(f"these are: {', '.join(names)}" if names else "there are none")
    for each in documented:
        twice = client.get(path, query_string=[(each["name"], "1")] * 2, headers=token)
        assert ("may be given once only" in twice.text) is (each["schema"].get("type") != "array")
    required = {each["name"] for each in documented if each["required"]}
    answer = client.get(path, headers=token)
    assert answer.status_code == (400 if required else 404 if "{" in path else 200)
    missing = answer.get_json(silent=True) or {}
    assert required == ({missing["parameter"]} if "parameter" in missing else set())


def test_the_pattern_of_texts_is_what_the_parser_does() -> None:
    pattern = re.compile(VISIBLE)
    for code in (*range(0xD800), *range(0xE000, 0x11000), *range(0xE0000, 0xE0100), sys.maxunicode):  # no surrogates
        assert bool(pattern.fullmatch(chr(code))) is (fit(chr(code), 9) is not None), hex(code)


def test_the_description_of_a_time_has_words_for_urls() -> None:
    for each in OPERATIONS["/api/logins"]["parameters"]:
        assert ("write + as %2B in a URL" in each["description"]) is (each["name"] in ("since", "until"))


QUERIES = ["limit=1", "order=arrival", "order=oldest", "limit=1&order=arrival", "app=nothing"]
SUMS = [
    "hour",
    "day&tz=Asia/Kathmandu",
    "hour_of_day&then=outcome",
    "weekday",
    "network&then=username",
    "reason&then=app",
    "username",
    "remote_addr",
    "network",
    "outcome",
    "reason",
    "method",
    "app",
]


def test_real_answers(client: FlaskClient, token: dict[str, str], history: dict[str, str], log: SignedTrail) -> None:
    size = log.sign().size
    asked = {path: ["", *QUERIES] for path in OPERATIONS if path.removeprefix("/api/") in history}
    asked["/api/logins/summary"] = [f"by={by}" for by in SUMS]
    asked["/api/logins/last"] = ["username=ada", "username=nobody"]
    asked["/trail/checkpoint"] = ["", f"size={size}"]
    asked["/api/errors/groups"] = ["", "limit=1", "app=nothing"]
    for path, queries in asked.items():
        for query in queries:
            answer = client.get(f"{path}?{query}", headers=token)
            assert answer.status_code == 200
            conforms(answer, path)
    for path in asked.keys() - {"/trail/checkpoint"}:
        for accepted in ("text/csv", "application/x-ndjson"):
            conforms(client.get(path + REQUIRED.get(path, ""), headers={**token, "Accept": accepted}), path)


def test_every_problem_type(client: FlaskClient) -> None:
    for known in PROBLEM_TYPES:
        conforms(client.get(f"/api/problems/{known.name}"), "/api/problems/{name}")


@pytest.fixture
def take_away(app: Flask, backend: str, database_url: str, request: pytest.FixtureRequest) -> Database:
    """A function that takes the database away."""

    def take() -> None:
        with app.app_context():
            db.engine.dispose()
        if backend == "sqlite":
            for path in Path(database_url.removeprefix("sqlite:///")).parent.glob("audit.db*"):
                path.unlink()
        else:
            name = make_url(database_url).database
            with closing(psycopg.connect(request.getfixturevalue("postgres_url"), autocommit=True)) as connection:
                connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
                connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])

    return take


def move_floor(engine: Engine, floor: int) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE trail_log SET floor = :floor"), {"floor": floor})


MISSING = {"/trail/checkpoint": "?size=1000", "/trail/consistency": "?old=1000"}


@pytest.fixture
def unsigned(history: dict[str, str], log: SignedTrail) -> dict[str, str]:
    """An id of each collection that is not signed yet, while those of the history are; these fill a tile."""
    for _ in range(256):
        LoginFactory()
    log.sign()
    return {"logins": LoginFactory().id, "errors": ErrorFactory().id, "admin-events": AdminFactory().id}


def test_every_documented_answer_is_given(  # noqa: C901, PLR0917 - a case for each status
    app: Flask,
    accounts: dict[Role, str],
    token: dict[str, str],
    history: dict[str, str],
    unsigned: dict[str, str],
    engine: Engine,
    take_away: Database,
) -> None:
    user, anybody = app.test_client(), app.test_client()
    user.post("/login/", data={"username": accounts[Role.USER], "password": PASSWORD})

    def provoke(path: str, status: str) -> TestResponse:  # noqa: PLR0911
        url, bare = concrete(path, history), path.format(event_id=uuid4(), name="nothing", tile="x")
        match status:
            case "304":
                known = anybody.get(url, headers=token).headers["ETag"]
                return anybody.get(url, headers={**token, "If-None-Match": known})
            case "400":
                return anybody.get(f"{bare}?nonsense=1", headers=token)
            case "401":
                return anybody.get(url)
            case "403":
                return user.get(url)
            case "404":
                return anybody.get(f"{bare}{MISSING.get(path, '')}", headers=token)
            case "409":
                return anybody.get(concrete(path, unsigned), headers=token)
            case "410":
                move_floor(engine, 256)
                answer = anybody.get(url, headers=token)
                move_floor(engine, 0)
                return answer
        return anybody.get(url, headers=token)

    given = [(path, status) for path, operation in OPERATIONS.items() for status in operation["responses"]]
    for path, status in sorted(given, key=lambda each: each[1]):  # 503 comes last
        if status == "503":
            take_away()
        answer = provoke(path, status)
        assert str(answer.status_code) == status, f"{path}: {answer.text}"
        conforms(answer, path)
        headers = OPERATIONS[path]["responses"][status].get("headers", {})
        assert set(answer.headers.keys()) >= headers.keys() - {"Link"}  # which only a page has that is not the last
