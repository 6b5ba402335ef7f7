"""What people do on the pages, in a real browser."""

import csv
import io
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, Page, expect

from audit_service.login.cookie import NAME, CookieSessions
from audit_service.login.sessions import FRESH
from tests.support.accounts import PASSWORD
from tests.support.apps import SECRET_KEY
from tests.support.browser import log_in, visitor

RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]},
    "resultTypes": ["violations"],  # of what is well, it need not say where it is
}
Scheme = Literal["light", "dark"]
COLOUR_SCHEMES: tuple[Scheme, ...] = ("light", "dark")
READ = (
    *("/", "/logins/?limit=10", "/errors/", "/errors/1:demo00000000c0de?limit=10", "/changes/?limit=10", "/nothing"),
    *("/accounts/", "/accounts/ada", "/tokens/"),
)
RARE = (
    *("/logins/?since=nonsense", "/logins/new?since=nonsense", "/logins/?username=nobody", "/errors/?username=nobody"),
    *("/accounts/?from=zzz", "/accounts/carol?ask=remove", "/account/password/"),
)


@pytest.mark.parametrize("has_scripts", [True, False], ids=["JavaScript", "no JavaScript"])
def test_filter_and_page(browser: Browser, month: str, has_scripts: bool) -> None:
    with visitor(browser, month, java_script_enabled=has_scripts) as page:
        log_in(page, "eve", PASSWORD)
        page.goto("/logins/?limit=25")
        newest = page.locator("#events tbody tr a").first  # it leads to the event
        first = newest.get_attribute("href") or ""
        page.get_by_role("link", name="Older").click()
        expect(newest).not_to_have_attribute("href", first)
        page.get_by_role("link", name="Newer").click()
        expect(newest).to_have_attribute("href", first)
        page.get_by_role("link", name="Failures only").click()
        filter_by(page, "username", "dmitri")
        assert "username=dmitri" in page.url
        assert "outcome=failure" in page.url
        rows = page.locator("#events tbody tr")
        assert rows.count() > 10
        assert all("failure" in text for text in rows.all_inner_texts())
        filter_by(page, "since", "nonsense")
        expect(page.get_by_role("textbox", name="since")).to_have_value("nonsense")
        expect(page.get_by_role("textbox", name="username")).to_have_value("dmitri")
        expect(page.locator(".invalid-feedback")).to_contain_text("since must be")


@pytest.mark.parametrize("has_scripts", [True, False], ids=["JavaScript", "no JavaScript"])
def test_from_an_error_to_its_login(browser: Browser, month: str, has_scripts: bool) -> None:
    with visitor(browser, month, java_script_enabled=has_scripts) as page:
        log_in(page, "eve", PASSWORD)
        page.get_by_role("link", name="Errors").click()
        page.get_by_role("link", name="TypeError").click()
        page.get_by_role("region", name="TypeError").get_by_role("link", name="ada", exact=True).first.click()
        page.locator("#events tbody tr a").first.click()
        expect(page.locator(".message")).to_contain_text("unsupported operand")
        page.get_by_role("listitem").filter(has_text="Last login before:").get_by_role("link").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("login · ada · success")
        expect(page.get_by_role("heading", name="Errors with the same username: ada")).to_be_visible()


def test_the_export_has_what_the_list_has(browser: Browser, month: str) -> None:
    with visitor(browser, month) as page:
        log_in(page, "eve", PASSWORD)
        page.goto("/logins/?username=dmitri&outcome=failure&limit=250")
        shown = page.locator("#events tbody tr").count()
        with page.expect_download() as download:
            page.get_by_role("link", name="CSV").click()
        text = download.value.path().read_text(encoding="utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text)))
        assert len(rows) == shown
        assert {row["username"] for row in rows} == {"dmitri"}


def test_language_and_theme_are_remembered(browser: Browser, month: str) -> None:
    with visitor(browser, month, java_script_enabled=False) as page:
        page.goto("/login/")
        page.get_by_role("button", name="Dark").click()
        expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
        page.get_by_role("button", name="中文").click()
        expect(page.locator("html")).to_have_attribute("lang", "zh")
        page.reload()
        expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    with visitor(browser, month, locale="zh-CN") as page:
        page.goto("/login/")
        expect(page.locator("html")).to_have_attribute("lang", "zh")


def test_a_user_sees_their_own_logins_only(browser: Browser, month: str) -> None:
    with visitor(browser, month) as page:
        log_in(page, "carol", PASSWORD)
        expect(page.get_by_role("heading", name="Your activity")).to_be_visible()
        page.locator("table a").first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("carol")
        expect(page.get_by_role("navigation", name="Pages").get_by_role("link")).to_have_count(1)
        page.goto("/logins/")
        expect(page.get_by_role("heading", level=1)).to_have_text("Error 403")


@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_has_a_fault_of_accessibility(browser: Browser, month: str, width: int) -> None:
    size = {"width": width, "height": 900}
    with visitor(browser, month, viewport=size, reduced_motion="reduce") as page:  # colours change at once
        page.goto("/login/")
        check(page)
        log_in(page, "ada", PASSWORD)
        for path in READ:
            page.goto(path)
            check(page)


def test_no_rare_page_has_a_fault_of_accessibility(browser: Browser, month: str) -> None:
    """What is shown once, questions, refusals: small pages, so each theme is looked at in one width."""
    sizes: tuple[tuple[int, Scheme], ...] = ((360, "light"), (1280, "dark"))
    with visitor(browser, month, reduced_motion="reduce") as page:

        def see() -> None:
            for width, scheme in sizes:
                page.set_viewport_size({"width": width, "height": 900})
                check(page, scheme)

        log_in(page, "ada", PASSWORD)
        page.goto("/logins/?username=dmitri&limit=25")
        page.locator("#events tbody a").first.click()
        see()
        for path in RARE:
            page.goto(path)
            see()
        page.goto("/tokens/")
        page.get_by_role("textbox", name="Name", exact=True).fill("by axe")
        page.get_by_role("button", name="Add the token").click()
        see()
        page.goto("/tokens/by%20axe")
        see()
        page.goto("/accounts/")
        page.get_by_role("textbox", name="Username").fill("hiro")
        page.get_by_role("button", name="Add, and make a password").click()
        see()
        page.get_by_role("link", name="Go on").click()
        make_stale(page)
        page.get_by_role("button", name="End all sessions").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Is it you?")
        see()


def make_stale(page: Page) -> None:
    """Let the session have begun too long ago for a change, as if the time had passed."""
    app = Flask("signs like the service")
    app.secret_key = SECRET_KEY
    serializer = CookieSessions(always_secure=False).get_signing_serializer(app)
    assert serializer
    (cookie,) = (each for each in page.context.cookies() if each.get("name") == NAME)
    session = serializer.loads(cookie.get("value", ""))
    value = str(serializer.dumps({**session, "started": session["started"] - FRESH - 1}))
    page.context.add_cookies([{"name": NAME, "value": value, "url": page.url}])


def filter_by(page: Page, label: str, value: str) -> None:
    page.get_by_role("textbox", name=label, exact=True).fill(value)
    page.get_by_role("button", name="Filter").click()


def check(page: Page, *schemes: Scheme) -> None:
    """No fault is found, light or dark, and nothing is wider than the window."""
    for scheme in schemes or COLOUR_SCHEMES:
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page, options=RULES)
        assert found.response["violations"] == [], f"{page.url} ({scheme})\n{found.generate_report()}"
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), page.url
