"""What the tests of adapters share."""

from collections.abc import Iterator

import pytest

from tests.support.oauth_provider import running_provider


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with running_provider() as address:
        yield address
