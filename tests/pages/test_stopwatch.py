"""How many steps it takes to answer what people ask, from the first page after the login: see ``docs/pages.md``.

A step is a click, or a text that is typed into a field and sent with Enter.
"""

import csv
import io
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from playwright.sync_api import Browser, Page, expect

from tests.support import plain_http
from tests.support.accounts import PASSWORD
from tests.support.browser import log_in, visitor


class Stopwatch:
    """Does steps on a page, and counts them."""

    def __init__(self, page: Page, name: str) -> None:
        self.page, self.steps = page, 0
        log_in(page, name, PASSWORD)

    def click(self, name: str, role: str = "link") -> None:
        self.steps += 1
        self.page.get_by_role(role, name=name, exact=True).click()  # type: ignore[arg-type]

    def send(self, label: str, text: str) -> None:
        self.steps += 1
        field = self.page.get_by_label(label, exact=True)
        field.fill(text)
        field.press("Enter")

    def find(self, text: str) -> None:
        self.send("Logins of this name or address", text)


def test_who_attacked_us_last_night_and_did_they_get_in(browser: Browser, month: str) -> None:
    with visitor(browser, month) as page:
        watch = Stopwatch(page, "eve")
        watch.click("Logins")
        watch.click("Last day")
        watch.click("203.0.113.0/24")
        expect(page.locator(".cards")).to_contain_text("100 events 0 successes 100 failures", use_inner_text=True)
        assert watch.steps == 3


def test_all_logins_of_bob_this_month_as_csv(browser: Browser, month: str) -> None:
    plain_http.post(f"{month}/login/", data={"username": "bob", "password": "guess"})  # on the first of a month, too
    with visitor(browser, month) as page:
        watch = Stopwatch(page, "eve")
        watch.find("bob")
        watch.click("This month")
        with page.expect_download() as download:
            watch.click("CSV")
        rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8-sig"))))
        assert {row["username"] for row in rows} == {"bob"}
        assert len(rows) == page.locator("#events tbody tr").count()
        zone = ZoneInfo("Europe/Berlin")
        begin = datetime.now(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
        assert min(datetime.fromisoformat(row["timestamp"]) for row in rows) >= begin
        assert watch.steps == 3


def test_which_bug_hit_ada_an_hour_ago(browser: Browser, month: str) -> None:
    with visitor(browser, month) as page:
        watch = Stopwatch(page, "eve")
        watch.click("Errors")
        watch.send("username", "ada")
        watch.click("TypeError")
        expect(page.locator(".trace")).to_contain_text('File "/srv/shop/shop/checkout.py", line 87, in pay')
        assert watch.steps == 3


def test_who_made_bob_an_admin(browser: Browser, month: str) -> None:
    with visitor(browser, month) as page:
        watch = Stopwatch(page, "eve")
        watch.click("Changes")
        watch.send("of whom or what", "bob")
        expect(page.locator("#events")).to_contain_text("ada gave bob the role admin instead of user")
        assert watch.steps == 2


def test_end_the_sessions_of_fatima_now(browser: Browser, month: str) -> None:
    with visitor(browser, month) as page, visitor(browser, month) as other:
        log_in(other, "fatima", PASSWORD)
        watch = Stopwatch(page, "ada")
        watch.click("Accounts")
        watch.click("fatima")
        watch.click("End all sessions", "button")
        expect(page.get_by_role("status")).to_have_text("All sessions of fatima are ended.")
        other.reload()
        expect(other.get_by_role("heading", level=1)).to_have_text("Log in")
        assert watch.steps == 3


def test_is_that_address_known_to_us(browser: Browser, month: str) -> None:
    with visitor(browser, month) as page:
        watch = Stopwatch(page, "eve")
        watch.find("198.51.100.87")
        expect(page.locator("#events tbody tr").first).to_contain_text("bob")
        watch.find("198.51.100.99")
        expect(page.get_by_role("main")).to_contain_text("Nothing matches these filters: address: 198.51.100.99")
        assert watch.steps == 1 + 1  # one for each address
