"""Behind proxies: whose address is believed, and what it leaves in the trail."""

import pytest
from flask import Flask

from audit_service import LoginAudit, create_app
from audit_service.context import context_of
from audit_service.vocabulary import Role
from tests.factories import SaveThrough
from tests.support.accounts import PASSWORD
from tests.support.logins import logins

PEER = "203.0.113.9"  # who is at the other end of the TCP connection
FORGED = "198.51.100.66"
CLIENT = "192.0.2.7"
NEAR = "10.0.0.2"  # the second of two proxies sees the first one

Case = tuple[list[str], str | None]  # the header's lines as they arrive, and the address that is stored

ALWAYS_THE_PEER: list[Case] = [
    ([], PEER),
    ([""], PEER),
]

NO_PROXY: list[Case] = [
    *ALWAYS_THE_PEER,
    ([CLIENT], PEER),
    ([FORGED, CLIENT], PEER),
    (["<script>alert(1)</script>"], PEER),
    (["a" * 5000], PEER),
]

ONE_PROXY: list[Case] = [
    *ALWAYS_THE_PEER,
    ([CLIENT], CLIENT),
    ([f"{FORGED}, {CLIENT}"], CLIENT),
    ([f"{FORGED},{FORGED},{CLIENT}"], CLIENT),
    ([FORGED, CLIENT], CLIENT),  # two lines: the proxy's is the last
    ([f"{FORGED}, {FORGED}", CLIENT], CLIENT),
    ([f"junk, {CLIENT}"], CLIENT),
    ([f"<script>alert(1)</script>, {CLIENT}"], CLIENT),
    ([f"{'a' * 5000}, {CLIENT}"], CLIENT),
    ([f"{', ' * 1000}{CLIENT}"], CLIENT),
    ([f"  {FORGED} ,  {CLIENT}  "], CLIENT),
    # what the proxy itself may write
    ([f"{CLIENT}:50123"], CLIENT),
    (["[2001:db8::7]:50123"], "2001:db8::7"),
    (["[2001:db8::7]"], "2001:db8::7"),
    (["2001:DB8:0::7"], "2001:db8::7"),
    (["fe80::7%eth0"], "fe80::7"),
    ([f"::ffff:{CLIENT}"], CLIENT),
    # no address: nothing is made up
    (["junk"], None),
    (["unknown"], None),
    (["<script>alert(1)</script>"], None),
    (["a" * 5000], None),
    (["010.0.0.1"], None),
    (["192.0.2.0/24"], None),
    # quotes mean nothing in this header: they do not swallow the comma before the proxy's own value
    ([f'", {CLIENT}'], CLIENT),
    ([f'"{FORGED}, {CLIENT}'], CLIENT),
    ([f'{FORGED}, "x\\", {CLIENT}'], CLIENT),
    (['"', CLIENT], CLIENT),
]

TWO_PROXIES: list[Case] = [
    *ALWAYS_THE_PEER,
    ([CLIENT], PEER),  # fewer values than proxies: somebody came past one of them
    ([f"{CLIENT}, {NEAR}"], CLIENT),
    ([CLIENT, NEAR], CLIENT),
    ([f"{FORGED}, {CLIENT}, {NEAR}"], CLIENT),
    ([FORGED, CLIENT, NEAR], CLIENT),
    ([f"{FORGED}, {FORGED}, {CLIENT}", NEAR], CLIENT),
    ([f"{CLIENT}:50123, {NEAR}:443"], CLIENT),
    ([f"[2001:db8::7]:50123, {NEAR}"], "2001:db8::7"),
    ([f"{FORGED}, junk, {NEAR}"], None),
    ([f"{'a' * 5000}, {CLIENT}, {NEAR}"], CLIENT),
    ([f'{FORGED}, ", {CLIENT}, {NEAR}'], CLIENT),
    ([f'{FORGED}, "x, {CLIENT}', NEAR], CLIENT),
]


@pytest.fixture
def proxies(request: pytest.FixtureRequest, config: dict[str, object]) -> int:
    """Ask for this before ``accounts`` and ``app``."""
    count: int = request.param
    config["AUDIT_TRUSTED_PROXIES"] = count
    return count


NETWORKS = {
    PEER: "203.0.113.0/24",
    CLIENT: "192.0.2.0/24",
    "2001:db8::7": "2001:db8::/64",
    "fe80::7": "fe80::/64",
    None: None,
}


@pytest.mark.parametrize(
    ("proxies", "cases"), [(0, NO_PROXY), (1, ONE_PROXY), (2, TWO_PROXIES)], indirect=["proxies"], ids=["0", "1", "2"]
)
def test_the_address_that_is_stored(proxies: int, app: Flask, cases: list[Case]) -> None:
    """A failed login for each case; none of a name that others failed with, so none is throttled."""
    for place, (lines, _) in enumerate(cases):
        answer = app.test_client().post(
            "/login/",
            data={"username": f"nobody {place}", "password": "x"},
            # as a WSGI server hands over several lines of one name (RFC 9110, section 5.2)
            headers={"X-Forwarded-For": ",".join(lines)} if lines else {},
            environ_base={"REMOTE_ADDR": PEER},
        )
        assert answer.status_code == 401
    stored = {item.username: (item.remote_addr, item.network) for item in logins(app)}
    assert {str(lines): stored[f"nobody {place}"] for place, (lines, _) in enumerate(cases)} == {
        str(lines): (address, NETWORKS[address]) for lines, address in cases
    }


@pytest.mark.parametrize("proxies", [0, 1, 2], indirect=True)
@pytest.mark.parametrize("header", ["Forwarded", "X-Real-IP", "Client-IP", "True-Client-IP", "CF-Connecting-IP"])
@pytest.mark.parametrize("backend", ["sqlite"])  # what a proxy says is read before any database is asked
def test_no_other_header_is_believed(proxies: int, accounts: dict[Role, str], app: Flask, header: str) -> None:
    app.test_client().post(
        "/login/",
        data={"username": "user", "password": PASSWORD},
        headers={header: f"for={FORGED}" if header == "Forwarded" else FORGED},
        environ_base={"REMOTE_ADDR": PEER},
    )
    assert [item.remote_addr for item in logins(app)] == [PEER]


def test_clients_behind_the_proxy_are_throttled_by_their_own_addresses(
    accounts: dict[Role, str], config: dict[str, object]
) -> None:
    app = create_app({**config, "AUDIT_TRUSTED_PROXIES": 1, "AUDIT_THROTTLE_NAME_LIMIT": 1})
    with SaveThrough(context_of(app).recorder):
        statuses = [
            app.test_client()
            .post(
                "/login/",
                data={"username": "user", "password": "wrong"},
                headers={"X-Forwarded-For": sent},
                environ_base={"REMOTE_ADDR": PEER},
            )
            .status_code
            for sent in (CLIENT, CLIENT, f"{FORGED}, {CLIENT}", f'", {CLIENT}', "198.51.100.7")
        ]
    LoginAudit.close(app)
    assert statuses == [401, 429, 429, 429, 401]


@pytest.mark.parametrize(
    ("proxies", "sent", "is_https"),
    [
        (0, "https", False),
        (1, None, False),
        (1, "http", False),
        (1, "https", True),
        (1, "http, https", True),
        (1, "https, http", False),
        (1, "junk", False),
        (1, "<script>", False),
        (2, "https", False),
        (2, "https, http", True),
        (2, "http, https", False),
        (2, "https, http, http", False),
    ],
    indirect=["proxies"],
)
@pytest.mark.parametrize("backend", ["sqlite"])  # what a proxy says is read before any database is asked
def test_the_scheme(proxies: int, accounts: dict[Role, str], app: Flask, sent: str | None, is_https: bool) -> None:
    headers = {} if sent is None else {"X-Forwarded-Proto": sent}
    answer = app.test_client().post("/login/", data={"username": "user", "password": PASSWORD}, headers=headers)
    cookie = answer.headers["Set-Cookie"]
    assert answer.status_code == 200
    assert cookie.startswith("__Host-audit_session=" if is_https else "audit_session=")
    assert ("; Secure" in cookie) == is_https
    assert ("Strict-Transport-Security" in answer.headers) == is_https


@pytest.mark.parametrize("proxies", [1, 2], indirect=True)
def test_no_proxy_says_what_host_or_path_this_is(proxies: int, app: Flask) -> None:
    lied = {"X-Forwarded-Host": "evil", "X-Forwarded-Port": "666", "X-Forwarded-Prefix": "/evil"}
    app.add_url_rule("/own/", view_func=lambda: "", endpoint="own")
    answer = app.test_client().get(
        "/own", headers=lied
    )  # a redirect that names the whole URL; our own routes have none
    assert "evil" not in answer.headers["Location"]
    page = app.test_client().get("/login/", headers=lied)
    assert "evil" not in page.text
