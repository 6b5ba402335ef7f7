"""The pages of errors: groups, one group, one error, and the logins that they belong to."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from audit_service.events.errors import NewError
from audit_service.vocabulary import Role
from tests.factories import ErrorFactory, LoginFactory
from tests.support.logins import BROWSER, log_in

Get = Callable[..., TestResponse]
NOW = datetime.now(UTC)


@pytest.fixture
def get(client: FlaskClient, accounts: dict[Role, str]) -> Get:
    log_in(client, "auditor")

    def get_page(path: str, **query: str) -> TestResponse:
        return client.get(path, query_string=query, headers=BROWSER)

    return get_page


def bug(**more: object) -> NewError:
    made: NewError = ErrorFactory(**{"fingerprint": "v1:bug", "exception_type": "shop.Broken", **more})
    return made


def test_groups(get: Get) -> None:
    for hours in (1, 2, 3):
        bug(timestamp=NOW - timedelta(hours=hours), message="<b>total</b>", username="ada")
    ErrorFactory(fingerprint="v1:other", exception_type="shop.Other", anonymous=True)
    page = get("/errors/").text
    assert "<b>total</b>" not in page
    assert page.index("shop.Other") < page.index("shop.Broken")
    assert ">3</td>" in page
    assert "/errors/v1:bug/sparkline.svg" in page
    filtered = get("/errors/", username="ada").text
    assert "shop.Broken" in filtered
    assert "shop.Other" not in filtered
    nothing = get("/errors/", endpoint="nowhere").text
    assert "Nothing matches these filters" in nothing
    assert "view: nowhere" in nothing


def test_the_charts_follow_the_filters(get: Get) -> None:
    bug(timestamp=NOW - timedelta(hours=1), username="ada")
    for query, bars in (({}, 1), ({"username": "ada"}, 1), ({"username": "bob"}, 0)):
        spark = get("/errors/v1:bug/sparkline.svg", **query)
        assert spark.content_type == "image/svg+xml"
        assert spark.text.count("v-") == bars
        assert len(spark.data) < 1000
        assert get("/errors/v1:bug/chart.svg", **query).status_code == 200


def test_from_an_error_to_its_logins_and_back(get: Get) -> None:
    earlier = LoginFactory(username="ada", timestamp=NOW - timedelta(hours=9))
    last = LoginFactory(username="ada", timestamp=NOW - timedelta(hours=5))
    LoginFactory(username="ada", timestamp=NOW - timedelta(hours=4), failed=True)
    LoginFactory(username="ada", timestamp=NOW - timedelta(hours=1))
    same = LoginFactory(username="eve", timestamp=NOW - timedelta(hours=2), request_id="of-both")
    error = bug(username="ada", timestamp=NOW - timedelta(hours=2), request_id="of-both")
    for path in ("/errors/v1:bug", f"/errors/v1:bug/{error.id}"):
        page = get(path).text
        linked = [login for login in (earlier, last, same) if f"/logins/{login.id}" in page]
        assert linked == [last, same]
        assert page.count('href="/logins/0') == 2
    for login in (last, same):
        assert f"/errors/v1:bug/{error.id}" in get(f"/logins/{login.id}").text


def test_each_time_in_pages(get: Get) -> None:
    made = [bug(timestamp=NOW - timedelta(minutes=minutes)) for minutes in range(26)]
    ErrorFactory(fingerprint="v1:other")
    first = get("/errors/v1:bug", limit="25").text
    table = first[first.index('id="events"') :]
    assert [f"/errors/v1:bug/{error.id}" in table for error in made] == [True] * 25 + [False]
    assert "/errors/v1:bug?cursor=" in table
    assert "v1:other" not in table


def test_what_there_is_not(get: Get) -> None:
    error = bug()
    for path in ("/errors/v1:none", f"/errors/v1:none/{error.id}", "/errors/v1:bug/1"):
        assert get(path).status_code == 404, path


def test_users_see_no_errors(client: FlaskClient, accounts: dict[Role, str]) -> None:
    error = bug(username="user", request_id="of-both")
    login = LoginFactory(username="user", request_id="of-both")
    log_in(client, "user")
    for path in ("/errors/", "/errors/v1:bug", f"/errors/v1:bug/{error.id}", "/errors/v1:bug/sparkline.svg"):
        assert client.get(path, headers=BROWSER).status_code == 403, path
    assert "v1:bug" not in client.get(f"/logins/{login.id}", headers=BROWSER).text
