"""The language of pages and answers."""

import pytest
from flask.testing import FlaskClient

from tests.support.accounts import PASSWORD
from tests.support.logins import log_in

BROWSER = {"Accept": "text/html"}


@pytest.mark.usefixtures("accounts")
def test_a_login_is_answered_in_chinese_when_that_is_preferred(client: FlaskClient) -> None:
    for preferred, missing, done in (
        ("zh-CN,zh;q=0.9,en;q=0.1", "请输入用户名", "登录成功"),
        ("zh", "请输入用户名", "登录成功"),
        ("en, zh;q=0.5", "please enter a username", "you are logged in"),
        ("fr", "please enter a username", "you are logged in"),
    ):
        headers = {"Accept-Language": preferred}
        assert log_in(client, "", headers=headers).get_json()["detail"] == missing
        assert log_in(client, "user", PASSWORD, headers=headers).get_json()["message"] == done


def test_what_is_chosen_wins(client: FlaskClient) -> None:
    assert "Log in" in client.get("/login/", headers=BROWSER).text
    chosen = client.post("/preferences/", data={"language": "zh", "theme": "dark", "next": "/login/?next=/x"})
    assert (chosen.status_code, chosen.location) == (303, "/login/?next=/x")
    page = client.get("/login/", headers={**BROWSER, "Accept-Language": "en"}).text
    assert '<html lang="zh" data-bs-theme="dark">' in page
    assert "登录" in page
    assert client.post("/preferences/", data={"next": "//evil.example"}).location == "/"
    assert client.post("/preferences/", data={"language": "xx"}).status_code == 400
    assert client.post("/preferences/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
