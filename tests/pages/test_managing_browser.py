"""What admins change on the pages in a real browser, and what comes of it for those who are concerned."""

import shlex

from playwright.sync_api import Browser, Page, expect

from tests.support import plain_http
from tests.support.accounts import PASSWORD
from tests.support.browser import log_in, visitor


def test_a_token_works_until_it_is_revoked(browser: Browser, month: str) -> None:
    with visitor(browser, month) as page:
        log_in(page, "ada", PASSWORD)
        page.goto("/tokens/")
        page.get_by_role("textbox", name="Name").fill("by browser")
        page.get_by_role("combobox", name="Scope").select_option("read")
        page.get_by_role("button", name="Add the token").click()
        token = page.locator("#token").inner_text()
        program, option, header, url = shlex.split(page.locator("#curl").inner_text())
        assert (program, option, header) == ("curl", "-H", f"Authorization: Bearer {token}")
        headers = {"Authorization": f"Bearer {token}"}
        assert plain_http.get(url, headers=headers).json()["items"]
        page.get_by_role("link", name="Go on").click()
        expect(page.get_by_role("row", name="by browser")).to_contain_text("active")
        expect(page.locator("body")).not_to_contain_text(token)
        page.get_by_role("link", name="Revoke the token by browser").click()
        page.get_by_role("button", name="Revoke the token").click()
        expect(page.get_by_role("status")).to_have_text("The token by browser is revoked.")
        expect(page.get_by_role("row", name="by browser")).to_contain_text("revoked")
        assert plain_http.get(url, headers=headers).status_code == 401


def test_who_is_disabled_is_out_until_enabled(browser: Browser, month: str) -> None:
    with visitor(browser, month) as admin, visitor(browser, month, java_script_enabled=False) as user:
        log_in(user, "fatima", PASSWORD)
        log_in(admin, "ada", PASSWORD)
        admin.goto("/accounts/")
        admin.get_by_role("link", name="fatima").click()
        admin.get_by_role("button", name="Disable").click()
        expect(admin.get_by_role("status")).to_have_text("fatima is disabled, and its sessions are ended.")
        user.reload()
        expect(user.get_by_role("heading", level=1)).to_have_text("Log in")
        send_login(user)
        expect(user.get_by_role("alert")).to_be_visible()
        admin.get_by_role("button", name="Enable").click()
        expect(admin.get_by_role("status")).to_have_text("fatima is enabled again.")
        send_login(user)
        expect(user.get_by_role("heading", level=1)).to_have_text("Your activity")


def send_login(page: Page) -> None:
    page.get_by_label("Username").fill("fatima")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
