"""The pictures of the pages: one of each page that is photographed, and not large."""

from tests.screenshots import FOLDER, OF_README, README, SHOTS

SIZE_LIMIT = 700_000  # bytes


def test_every_page_has_its_picture() -> None:
    wanted = {f"pages/{shot.name}" for shot in SHOTS}
    wanted |= {f"{name}-{variant.scheme}" for name in README for variant in OF_README}
    assert {str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.webp")} == wanted


def test_their_size() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*.webp")) <= SIZE_LIMIT
