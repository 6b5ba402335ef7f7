"""What JavaScript adds to the table of logins: new rows come by themselves, and arrows lead through it."""

from playwright.sync_api import Browser, expect

from tests.support.accounts import PASSWORD
from tests.support.browser import log_in, visitor


def test_new_rows_come_by_themselves(browser: Browser, month: str) -> None:
    with visitor(browser, month) as page, visitor(browser, month) as other:
        log_in(page, "eve", PASSWORD)
        page.goto("/logins/?username=carol")
        live = page.get_by_role("button", name="Live")
        live.click()
        expect(live).to_have_attribute("aria-pressed", "true")
        rows = page.locator("#events tbody tr")
        before = rows.count()
        log_in(other, "carol", PASSWORD)
        expect(page.get_by_role("status")).to_have_text("New events: 1")
        expect(rows).to_have_count(before + 1)
        expect(rows.first).to_contain_text("carol")
        live.click()
        expect(live).to_have_attribute("aria-pressed", "false")


def test_no_switch_without_scripts(browser: Browser, month: str) -> None:
    with visitor(browser, month, java_script_enabled=False) as page:
        log_in(page, "eve", PASSWORD)
        page.goto("/logins/")
        expect(page.locator("[data-live]")).to_be_hidden()


def test_arrows_lead_through_the_table(browser: Browser, month: str) -> None:
    with visitor(browser, month) as page:
        log_in(page, "eve", PASSWORD)
        page.goto("/logins/?outcome=failure")
        rows = page.locator("#events tbody tr")
        name = rows.nth(0).locator("td").nth(4).locator("a")
        name.focus()
        page.keyboard.press("ArrowDown")
        expect(rows.nth(1).locator("td").nth(4).locator("a")).to_be_focused()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowRight")
        expect(rows.nth(0).locator("td").nth(5).locator("a")).to_be_focused()
        page.keyboard.press("Home")
        expect(rows.nth(0).locator("a").first).to_be_focused()


def test_printing_repeats_the_question(browser: Browser, month: str) -> None:
    with visitor(browser, month) as page:
        log_in(page, "eve", PASSWORD)
        page.goto("/logins/?username=dmitri")
        question = page.locator("thead tr").first
        expect(question).to_be_hidden()
        page.emulate_media(media="print")
        expect(question).to_be_visible()
        expect(question).to_contain_text("username: dmitri")
        expect(page.locator("header").first).to_be_hidden()
        expect(page.locator("details.wide")).to_be_hidden()
