"""Pages: every order, by cursor, without gap or overlap; what every route has in common; single events and caches."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from audit_service.access.viewer import owner_of_view
from audit_service.context import Viewer, context_of
from audit_service.events.request_info import network_of
from audit_service.vocabulary import Role
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.accounts import PASSWORD
from tests.support.reader import Reader, ordered
from tests.support.signed_trail import SignedTrail

NOON = datetime(2020, 1, 31, 12, tzinfo=UTC)
NAMES = ("ada", "bob", "cyd", "dan")


def fill(app: Flask, count: int = 60) -> None:
    """Logins in an order of arrival that is not that of time; eight at each microsecond."""
    events = []
    for n in range(count):
        address = f"10.{n % 3}.{n % 5}.{n % 7}"
        timestamp = NOON + timedelta(microseconds=n * 37 % count // 8)
        made = LoginFactory.build(
            username=NAMES[n % 4],
            timestamp=timestamp,
            remote_addr=address,
            network=network_of(address),
            failed=n % 3 == 0,
            app="shop" if n % 2 else "portal",
        )
        events.append(made)
    context_of(app).recorder.record_all(events)


QUESTIONS: list[dict[str, Any]] = [
    {},
    {"username": "ada"},
    {"username": ["ada", "bob", "nobody"]},
    {"remote_addr": "10.1.0.0/16"},
    {"remote_addr": "10.0.0.0/8", "outcome": "success"},
    {"remote_addr": ["10.0.0.0", "10.1.1.1", "10.2.2.2"]},
    {"reason": ["bad_password", "denied"], "app": "shop"},
    {"outcome": "failure"},
]


@pytest.mark.parametrize("order", ["newest", "oldest", "arrival"])
def test_pages_are_the_whole(app: Flask, reader: Reader, order: str) -> None:
    fill(app)
    for place, question in enumerate(QUESTIONS):
        asked = {**question, "order": order}
        whole = reader.get("/api/logins", limit=1000, **asked).get_json()["items"]
        assert len(whole) > 2
        assert whole == ordered(whole, order)
        limit, seen = (1, 3, 7, 8, 59)[place % 5], []
        answer = reader.get("/api/logins", limit=limit, **asked)
        while items := answer.get_json()["items"]:
            assert len(items) <= limit
            seen += items
            url = answer.get_json()["next_url"]
            if url is None:
                assert answer.get_json()["next"] is None
                assert "Link" not in answer.headers
                break
            assert answer.headers["Link"] == f'<{url}>; rel="next"'
            answer = reader.client.get(url, headers=reader.headers)
        assert seen == whole, (question, limit)
        assert (answer.get_json()["next"] is None) == (order != "arrival")  # there more may arrive


def test_a_cursor_belongs_to_filters_and_order(app: Flask, reader: Reader) -> None:
    fill(app)
    asked = [*QUESTIONS, {"order": "oldest"}, {"order": "arrival"}, {"order": "oldest", "username": "ada"}]
    cursors = [reader.get("/api/logins", limit=1, **question).get_json()["next"] for question in asked]
    for (cursor, question), (_, other) in permutations(zip(cursors, asked, strict=True), 2):
        answer = reader.get("/api/logins", cursor=cursor, **other)
        assert (answer.status_code, answer.get_json()["parameter"]) == (400, "cursor"), (question, other)
        assert "same filters, order and reader" in answer.get_json()["detail"]
    for cursor, question in zip(cursors, asked, strict=True):
        assert reader.get("/api/logins", cursor=cursor, limit=2, **question).status_code == 200


def test_a_page_is_still_there_when_the_same_question_is_asked_in_other_words(app: Flask, reader: Reader) -> None:
    fill(app)
    said = {"since": "2020-01-31T13:00:00+01:00", "remote_addr": "::ffff:10.0.0.0", "limit": 1}
    cursor = reader.get("/api/logins", **said).get_json()["next"]
    meant = {"since": "2020-01-31T12:00:00Z", "remote_addr": "10.0.0.0", "order": "newest", "limit": 2}
    assert len(reader.get("/api/logins", cursor=cursor, **meant).get_json()["items"]) == 1


def paths(app: Flask, event_ids: dict[str, str]) -> list[str]:
    """A path for each of the API's routes."""
    found = []
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("audit_api.") and rule.endpoint != "audit_api.not_here":
            collection = rule.rule.removeprefix("/api/").split("/")[0]
            path = rule.rule.replace("<event_id>", event_ids.get(collection, ""))
            found.append(path.replace("<name>", "invalid-parameter").replace("<path:filename>", "docs.css"))
    return sorted(found)


def test_every_route_answers_head_and_refuses_changes(
    app: Flask, reader: Reader, database_url: str, tmp_path: Path
) -> None:
    kinds = {"logins": LoginFactory, "errors": ErrorFactory, "admin-events": AdminFactory}
    found = paths(app, {name: str(kind(timestamp=NOON).id) for name, kind in kinds.items()})
    trail = SignedTrail(database_url, tmp_path / "signer")
    trail.sign()  # what has a proof is signed
    trail.close()
    assert len(found) > 15
    query = {"/api/logins/summary": {"by": "day"}, "/api/logins/last": {"username": "ada"}}
    for path in found:
        asked = query.get(path, {"until": "2021-01-01T00:00:00Z"} if path[5:].partition(".")[0] in kinds else {})
        answers = [
            getattr(reader.client, method)(path, query_string=asked, headers=reader.headers)
            for method in ("get", "head")
        ]
        assert [answer.status_code for answer in answers] == [200, 200], path
        assert (answers[1].data, answers[1].content_type) == (b"", answers[0].content_type)
        assert answers[0].headers.get("Content-Length") == answers[1].headers.get("Content-Length")
        for answer in answers:
            answer.close()  # a style sheet is an open file
        for method in ("post", "put", "patch", "delete"):
            refused = getattr(reader.client, method)(path, headers=reader.headers)
            assert (refused.status_code, refused.content_type) == (405, "application/problem+json"), (method, path)
            assert set(refused.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert reader.client.delete("/api/nothing").status_code == 404


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/api/logins", LoginFactory), ("/api/errors", ErrorFactory), ("/api/admin-events", AdminFactory)],
)
def test_a_single_event_may_be_kept_and_asked_for_again(
    reader: Reader, path: str, kind: type[LoginFactory], accounts: dict[Role, str]
) -> None:
    first, second = (f"{path}/{kind().id}" for _ in range(2))
    answer = reader.get(first)
    assert answer.headers["Cache-Control"] == "private, no-cache"
    etag = answer.headers["ETag"]
    assert etag != reader.get(second).headers["ETag"]

    def again(tag: str, method: str = "GET", **more: Any) -> Any:
        headers = {"If-None-Match": tag, **more.pop("headers", reader.headers)}
        return reader.client.open(first, method=method, headers=headers, **more)

    for tag in (etag, f'"x", {etag}', f"W/{etag}", "*"):
        kept = again(tag)
        assert (kept.status_code, kept.data) == (304, b"")
        assert (kept.headers["ETag"], kept.headers["Cache-Control"]) == (etag, "private, no-cache")
    assert again(etag, "HEAD").status_code == 304
    assert again('"x"').json == answer.json
    assert again(etag, headers={}).status_code == 401  # whoever may not see it is not even told that it is the same
    reader.client.post("/login/", data={"username": "user", "password": PASSWORD})
    assert again(etag, headers={}).status_code == (404 if path == "/api/logins" else 403)


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_mount_path_of_any_letters(app: Flask, token: dict[str, str]) -> None:
    fill(app)
    root = "/mo unt/\N{LATIN SMALL LETTER E WITH ACUTE}".encode().decode("latin-1")  # as PEP 3333 has it
    answer = app.test_client().get("/api/logins?limit=1", headers=token, environ_overrides={"SCRIPT_NAME": root})
    following = answer.get_json()["next_url"]
    assert following.startswith("/mo%20unt/%C3%A9/api/logins?limit=1&cursor=")
    assert answer.headers["Link"] == f'<{following}>; rel="next"'
    wrong = app.test_client().get("/api/logins?x=1", headers=token, environ_overrides={"SCRIPT_NAME": root})
    assert wrong.get_json()["type"] == "/mo%20unt/%C3%A9/api/problems/invalid-parameter"


@pytest.mark.parametrize("backend", ["sqlite"])
def test_headers_that_are_meant_well(app: Flask, client: FlaskClient, token: dict[str, str]) -> None:
    fill(app, 8)
    event_id = client.get("/api/logins", headers=token).get_json()["items"][0]["id"]
    for match in ("*", '"x"'):
        answer = client.get(f"/api/logins/{event_id}", headers={**token, "If-Match": match})
        assert (answer.status_code, answer.get_json()["id"]) == (200, event_id)
    for accepted in ("text/csv; charset=utf-8", "text/csv;q=0.9, application/json;q=0.1"):
        answer = client.get("/api/logins", headers={**token, "Accept": accepted})
        assert answer.mimetype == "text/csv"


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("e\N{COMBINING ACUTE ACCENT}ve", "\N{LATIN SMALL LETTER E WITH ACUTE}ve"),
        ("x" * 300, "x" * 255),
        ("a\N{ZERO WIDTH SPACE}b", "a\N{REPLACEMENT CHARACTER}b"),
    ],
)
def test_a_viewers_name_is_the_one_that_is_stored(name: str, stored: str) -> None:
    assert owner_of_view(Viewer(name=name, role=Role.USER)) == stored
    assert owner_of_view(Viewer(name=name, role=Role.AUDITOR)) is None
