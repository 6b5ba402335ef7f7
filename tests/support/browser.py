"""A real browser on the real service: Debian's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

# In a container there is no sandbox for root; the rest keeps it from asking for addresses of its own.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium; skip the test where there is none, unless ``CI`` is set."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium on the PATH")
        pytest.skip("needs Chromium (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def visitor(browser: Browser, url: str, **options: object) -> Iterator[Page]:
    """Open a page of a new visitor, whose relative addresses begin at *url*.

    What the console says, what fails, and what is asked of another host fails the test.
    """
    context: BrowserContext = browser.new_context(
        base_url=url,
        timezone_id="Europe/Berlin",
        **{"locale": "en-GB", **options},  # type: ignore[arg-type]
    )
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(url) else faults.append(request.url))
    yield page
    context.close()
    # A page that is not answered with 200 is a message on Chromium's console, though all is as it should be.
    assert [fault for fault in faults if "Failed to load resource" not in fault] == []


def log_in(page: Page, name: str, password: str) -> None:
    """Log in by the form, as a person does."""
    page.goto("/login/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/")
