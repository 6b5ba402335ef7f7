"""The wheel: installed in an empty folder it can migrate."""

import shutil
import subprocess
from pathlib import Path

from audit_service.storage.schema import newest_revision
from tests.support.databases import new_postgres_database
from tests.support.server import environment

PROJECT = Path(__file__).parent.parent


def uv() -> str:
    found = shutil.which("uv") or shutil.which(PROJECT / ".uv/bin/uv")
    assert found, "uv is neither on the PATH nor in .uv/bin: run the tests with 'make test'"
    return found


def test_the_wheel_in_an_empty_folder(postgres_url: str, tmp_path: Path) -> None:
    environ = environment({})
    environ.pop("VIRTUAL_ENV", None)

    def run(*command: str, **settings: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env={**environ, **settings}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(uv(), "build", "--quiet", "--wheel", "--out-dir", str(tmp_path / "dist"), str(PROJECT))
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    run(uv(), "venv", "--quiet", "venv")
    run(uv(), "pip", "install", "--quiet", "--python", "venv/bin/python", str(wheel))
    with new_postgres_database(postgres_url) as url:
        for database_url in (url, f"sqlite:///{tmp_path}/audit.db"):
            migrated = run("venv/bin/audit-service", "migrate", AUDIT_DATABASE_URL=database_url)
            assert f"revision {newest_revision()} (was empty)" in migrated
    listed = run("venv/bin/python", "-c", "import audit_service; print(audit_service.__file__)")
    assert Path(listed.strip()).is_relative_to(tmp_path)
    files = {str(path.relative_to(Path(listed).parent)) for path in Path(listed).parent.rglob("*.*")}
    assert {"py.typed", "login/templates/audit_service/login.html", "login/static/audit.css"} <= files
