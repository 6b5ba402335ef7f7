"""One signed trail for each database, of which every test has a copy."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from audit_service.trail.recorder import Recorder
from tests.factories import AdminFactory, ErrorFactory, LoginFactory
from tests.support.databases import new_postgres_database
from tests.support.signed_trail import SignedTrail
from tests.verifying.trails import Trail, make_trail


@pytest.fixture(scope="session")
def sqlite_trail(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a trail in SQLite."""
    folder = tmp_path_factory.mktemp("trail")
    shutil.copy(sqlite_template, folder / "audit.db")
    make_trail(f"sqlite:///{folder}/audit.db", folder).close()
    return folder


@pytest.fixture(scope="session")
def postgres_trail(
    postgres_url: str, postgres_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """The name of a database with a trail, and the folder of its signer."""
    folder = tmp_path_factory.mktemp("trail")
    with new_postgres_database(postgres_url, postgres_template) as url:
        make_trail(url, folder).close()
        yield make_url(url).database or "", folder


@pytest.fixture
def trail(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Trail]:
    """A trail of its own for a test."""
    if backend == "sqlite":
        shutil.copytree(request.getfixturevalue("sqlite_trail"), tmp_path, dirs_exist_ok=True)
        made = Trail(f"sqlite:///{tmp_path}/audit.db", tmp_path)
        yield made
        made.close()
    else:
        name, folder = request.getfixturevalue("postgres_trail")
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
        with new_postgres_database(request.getfixturevalue("postgres_url"), name) as url:
            made = Trail(url, tmp_path)
            yield made
            made.close()


@pytest.fixture
def signed(found_trail: SignedTrail, recorder: Recorder) -> SignedTrail:
    """A trail that commands find by the environment, signed in two checkpoints."""
    recorder.record_all(LoginFactory.copies(600, username="Zo\u00eb", details={"a": [1.5, None]}))
    ErrorFactory()
    AdminFactory()
    found_trail.sign()
    recorder.record_all(LoginFactory.copies(50))
    found_trail.sign()
    return found_trail
