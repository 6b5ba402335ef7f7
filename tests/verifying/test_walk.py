"""Work that other processes do."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from audit_service.storage.outages import driver_error
from tests.verifying.trails import Trail


@pytest.mark.parametrize("backend", ["sqlite"])  # a page of its file is damaged
def test_an_error_in_another_process_is_the_one_of_its_database(trail: Trail) -> None:
    path = Path(str(trail.parsed.database))
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((page,),) = file.execute("SELECT rootpage FROM sqlite_master WHERE name = 'trail_leaves'")
        ((size,),) = file.execute("PRAGMA page_size")
    with path.open("r+b") as raw:  # what is read first is its index, which is on other pages
        raw.seek((page - 1) * size)
        raw.write(b"\xff" * size)
    with pytest.raises(DBAPIError) as raised:
        trail.verify(jobs=2)
    assert str(driver_error(raised.value)) == "database disk image is malformed"
