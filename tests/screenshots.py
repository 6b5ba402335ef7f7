"""``make screenshots``: pictures of every page, into docs/images/, from the service on the demonstration's month.

In docs/images/pages/ a page is one picture of several variants: light and dark, wide and narrow, English and Chinese.
The README's pictures are larger ones. What pages show depends on the time at which they are asked for; the names of the
files do not.
"""

import io
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import click
from flask import Flask
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page

from audit_service.login.cookie import NAME, CookieSessions
from audit_service.login.sessions import FRESH
from tests.support.accounts import PASSWORD
from tests.support.apps import SECRET_KEY
from tests.support.browser import chromium, log_in
from tests.support.filled import served_month

FOLDER = Path(__file__).parents[1] / "docs" / "images"
README = ("logins", "activity")  # the pages that the README shows
WIDE, NARROW, TALL = (1280, 800), (360, 800), (1280, 1120)  # CSS pixels
GAP = 8  # pixels between the variants of a picture
SCALE = 2  # a picture of several variants has half their size
GROUND = (127, 127, 127)
COLOURS, APART = 64, 10  # of each variant, and the least distance of two of them
ZONE = "Europe/Berlin"
NAMES = cycle(("hiro", "ines", "chen"))  # who fails to log in: no name so often that it is throttled
Shoot = Callable[[Page], object]


@dataclass(frozen=True)
class Variant:
    """How a page is looked at."""

    size: tuple[int, int]
    scheme: Literal["light", "dark"]
    locale: str = "en-GB"


VARIANTS = (
    Variant(WIDE, "light"),
    Variant(WIDE, "dark"),
    Variant(WIDE, "light", "zh-CN"),
    Variant(NARROW, "light"),
    Variant(NARROW, "dark"),
)
OF_README = (Variant(TALL, "light"), Variant(TALL, "dark"))


@dataclass(frozen=True)
class Shot:
    """A page: the name of its picture, who looks at it ("": nobody is logged in), and how one gets there."""

    name: str
    viewer: str
    visit: Shoot


def at(path: str) -> Shoot:
    return lambda page: page.goto(path)


def first_row_of(path: str, page: Page) -> None:
    """Follow the first link of the table at *path*."""
    page.goto(path)
    page.goto(page.locator("#events tbody a").first.get_attribute("href") or "")


def fail_to_log_in(page: Page) -> None:
    page.goto("/login/")
    page.locator("#username").fill(next(NAMES))
    page.locator("#password").fill("a guess")
    page.locator("main form .btn-primary").click()
    page.locator("#message").wait_for()


def be_asked_for_proof(page: Page) -> None:
    """Change a role in a session that began long ago: its cookie says so."""
    app = Flask(__name__)
    app.secret_key = SECRET_KEY
    serializer = CookieSessions(always_secure=False).get_signing_serializer(app)
    assert serializer is not None
    (cookie,) = (each for each in page.context.cookies() if each["name"] == NAME)
    session = serializer.loads(cookie["value"])
    old = serializer.dumps({**session, "started": session["started"] - FRESH - 60})
    page.context.add_cookies([{"name": NAME, "value": str(old), "domain": cookie["domain"], "path": "/"}])
    page.goto("/accounts/bob")
    page.locator("[name=action][value=role]").click()
    page.locator("#current_password").wait_for()


SHOTS = (
    Shot("login-form", "", at("/login/")),
    Shot("activity", "eve", at("/")),
    Shot("logins", "ada", at("/logins/?since=30d")),
    Shot("logins-filtered", "ada", at("/logins/?username=dmitri&outcome=failure&since=7d")),
    Shot("login", "ada", partial(first_row_of, "/logins/?username=dmitri&remote_addr=203.0.113.66&outcome=success")),
    Shot("errors", "ada", at("/errors/")),
    Shot("error-group", "ada", at("/errors/1:demo00000000c0de")),
    Shot("error", "ada", partial(first_row_of, "/errors/1:demo00000000c0de?username=ada")),
    Shot("changes", "ada", at("/changes/")),
    Shot("accounts", "ada", at("/accounts/")),
    Shot("account", "ada", at("/accounts/bob")),
    Shot("tokens", "ada", at("/tokens/")),
    Shot("token", "ada", at("/tokens/dashboard")),
    Shot("no-match", "ada", at("/logins/?username=nobody&outcome=failure")),
    Shot("bad-filter", "ada", at("/logins/?username=ada&since=yesteryear")),
    Shot("not-found", "ada", at("/nothing")),
    Shot("forbidden", "carol", at("/logins/")),
    Shot("login-failed", "", fail_to_log_in),
    Shot("proof", "ada", be_asked_for_proof),  # the last one: the session of its context is old from then on
)


def prepare(browser: Browser, url: str) -> dict[str, BrowserContext]:
    """Return a context for each viewer, logged in; add what the pages are to show besides the month."""
    contexts = {"": browser.new_context(base_url=url, timezone_id=ZONE)}
    for viewer in ("ada", "eve", "carol"):
        contexts[viewer] = browser.new_context(base_url=url, timezone_id=ZONE)
        log_in(contexts[viewer].new_page(), viewer, PASSWORD)
    (page,) = contexts["ada"].pages
    for name, role in (("bob", "user"), ("dmitri", "user"), ("grace", "auditor")):
        page.goto("/accounts/")
        page.locator("#username").fill(name)
        page.locator("#role").select_option(role)
        page.locator("#password").fill(PASSWORD)
        page.locator("[name=how][value=typed]").click()
    page.goto("/accounts/dmitri")
    page.locator("[name=action][value=disable]").click()
    for name, scope in (("dashboard", "read"), ("billing", "report"), ("old laptop", "read")):
        page.goto("/tokens/")
        page.locator("#name").fill(name)
        page.locator("#scope").select_option(scope)
        page.locator("section .btn-primary").click()
    page.goto("/tokens/old%20laptop")
    page.locator("main form .btn-danger").click()
    return contexts


def shoot(
    browser: Browser, url: str, variants_of: Callable[[str], tuple[Variant, ...]], *, full_page: bool = False
) -> Iterator[tuple[str, Variant, Image.Image]]:
    """Yield pictures of each page, the pages in their order: its name, the variant, the picture."""
    states = {viewer: context.storage_state() for viewer, context in prepare(browser, url).items()}
    for shot in SHOTS:
        for variant in variants_of(shot.name):
            context = browser.new_context(
                base_url=url,
                storage_state=states[shot.viewer],
                timezone_id=ZONE,
                locale=variant.locale,
                color_scheme=variant.scheme,
                viewport={"width": variant.size[0], "height": variant.size[1]},
                reduced_motion="reduce",
            )
            page = context.new_page()
            shot.visit(page)
            page.wait_for_load_state("networkidle")
            with Image.open(io.BytesIO(page.screenshot(full_page=full_page))) as picture:
                yield shot.name, variant, picture.convert("RGB")
            context.close()


def side_by_side(pictures: list[Image.Image]) -> Image.Image:
    """Return one picture of several, at a size that shows them all."""
    pictures = [picture.reduce(SCALE) for picture in pictures]
    width = sum(picture.width for picture in pictures) + GAP * (len(pictures) + 1)
    sheet = Image.new("RGB", (width, max(picture.height for picture in pictures) + 2 * GAP), GROUND)
    left = GAP
    for picture in pictures:
        sheet.paste(flat(picture), (left, GAP))
        left += picture.width + GAP
    return sheet


def flat(picture: Image.Image) -> Image.Image:
    """Return a picture in its most frequent colours only: nobody misses the others, and the file is half as large."""
    counts: Any = picture.getcolors(picture.width * picture.height)
    chosen: list[tuple[int, ...]] = []
    for _, colour in sorted(counts, reverse=True):
        if all(max(abs(a - b) for a, b in zip(colour, other, strict=True)) >= APART for other in chosen):
            chosen.append(colour)
        if len(chosen) == COLOURS:
            break
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for colour in chosen for part in colour])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE).convert("RGB")


def save(picture: Image.Image, name: str) -> None:
    picture.save(FOLDER / f"{name}.webp", lossless=True, quality=100, method=6)


def variants_of(name: str) -> tuple[Variant, ...]:
    """Return the variants of a page, those for the README at the end."""
    return VARIANTS + OF_README if name in README else VARIANTS


def main() -> None:
    """Make all pictures anew."""
    found: dict[str, list[Image.Image]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        served_month(Path(folder)) as url,
        chromium() as browser,
        click.progressbar(
            shoot(browser, url, variants_of),
            length=sum(len(variants_of(shot.name)) for shot in SHOTS),
            label="pictures",
        ) as shots,
    ):
        for name, _, picture in shots:
            found.setdefault(name, []).append(picture)
    for name, pictures in found.items():
        save(side_by_side(pictures[: len(VARIANTS)]), f"pages/{name}")
        for variant, picture in zip(OF_README, pictures[len(VARIANTS) :], strict=False):
            save(flat(picture), f"{name}-{variant.scheme}")
    size = sum(path.stat().st_size for path in FOLDER.rglob("*.webp"))
    click.echo(f"{len(found)} pages are in {FOLDER}, {size // 1000} kB in all")


if __name__ == "__main__":
    main()
