"""Values that want to run, to hide or to break the page are shown as text, on a small screen, too."""

from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Dialog, Page

from audit_service.values.text import fit
from audit_service.vocabulary import Role
from tests.support import plain_http
from tests.support.accounts import PASSWORD
from tests.support.browser import log_in, visitor
from tests.support.filled import filled_service
from tests.support.hostile import IMAGE, VALUES, WIDE, hostile_events

NAMES = [value for value in VALUES if fit(value, 255)]  # accounts and tokens may have no others
LONG = f"{IMAGE}{WIDE}" * 11  # more than 8,000 bytes
LISTS = ("/logins/", "/errors/", "/changes/", "/accounts/", "/tokens/")
COLUMNS = "timestamp,username,user_agent,method,app,request_id,details"
SMALL = {"width": 360, "height": 800}
MARKUP = "document.querySelectorAll('body script, [onerror], [src=x]').length"
TOO_WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


def test_every_value_is_shown_as_text(browser: Browser, tmp_path: Path) -> None:
    accounts = {"ada": Role.ADMIN, **dict.fromkeys(NAMES, Role.USER)}
    tokens = [name[:64] for name in NAMES]
    with filled_service(tmp_path, hostile_events(), accounts, tokens) as url:
        sent = dict.fromkeys((b"User-Agent", b"X-Request-ID", b"X-Forwarded-For"), LONG.encode())
        assert plain_http.post(f"{url}/login/", data={"username": LONG, "password": LONG}, headers=sent).is_client_error
        with visitor(browser, url, viewport=SMALL) as page:
            page.on("dialog", never)
            log_in(page, "ada", PASSWORD)
            for path in LISTS:
                see(page, path, *(NAMES if path == "/accounts/" else tokens if path == "/tokens/" else VALUES))
            for value in VALUES:
                see_events_of(page, value)
            for name in NAMES:
                see(page, f"/accounts/{quote(name, safe='')}", name)
                see(page, f"/accounts/{quote(name, safe='')}?ask=remove", name)
                see(page, f"/tokens/{quote(name[:64], safe='')}", name[:64])
        with visitor(browser, url, viewport=SMALL) as page:
            page.on("dialog", never)
            log_in(page, WIDE, PASSWORD)
            see(page, "/", WIDE)


def see_events_of(page: Page, value: str) -> None:
    """Open an event of each kind with that *value*, from the lists, and the list that the value filters."""
    see(page, f"/logins/?since=1h&column={COLUMNS}", value)
    see(page, first_link(page, value), value)
    see(page, "/errors/", value)
    see(page, first_link(page, value), value)
    see(page, first_link(page, value), value)
    if value in NAMES:
        see(page, f"/changes/?actor={quote(value, safe='')}", value)
        see(page, f"/logins/?username={quote(value, safe='')}&outcome=success&reason=other", value)  # nothing matches


def first_link(page: Page, value: str) -> str:
    """Return where the first row of the table with that *value* leads."""
    return page.locator("#events tbody tr", has_text=value).locator("a").first.get_attribute("href") or ""


def see(page: Page, path: str, *values: str) -> None:
    """Open the page: it shows the *values* as they are, and nothing is wider than the window."""
    page.goto(path, wait_until="domcontentloaded")  # charts are images
    assert page.evaluate(MARKUP) == 0, path
    assert not page.evaluate(TOO_WIDE), path
    text = page.locator("body").inner_text()
    assert [value for value in values if value not in text] == [], path


def never(dialog: Dialog) -> None:
    raise AssertionError(f"a dialog: {dialog.message}")
