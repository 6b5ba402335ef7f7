"""Files that are made for their owner only."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from audit_service.settings.data_folder import make_file


def test_of_several_makers_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def make(n: int) -> bytes:
        make_file(path, b"%d" % n * 1000)
        return path.read_bytes()

    with ThreadPoolExecutor(8) as threads:
        (content,) = set(threads.map(make, range(200)))
    assert len(set(content.decode())) <= 3  # of one maker, and whole
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    make_file(path, b"new")
    assert path.read_bytes() == b"old"


def test_an_error_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        make_file(tmp_path / "no" / "file")
    assert caught.value.filename == str(tmp_path / "no" / "file")
