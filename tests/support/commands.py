"""Running commands: ours in this process, those of the documents in a shell."""

import subprocess
from pathlib import Path

from click.testing import CliRunner, Result

from audit_service.cli import main
from tests.support.server import environment


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin, prog_name="audit-service")


def succeed(*arguments: str, stdin: str | None = None) -> str:
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result.stdout


def as_written(block: str, folder: Path, url: str) -> list[str]:
    """Run a block of commands against the service at *url*; return the lines that it prints.

    On stderr it may say only which database was changed.
    """
    script = block.replace("http://127.0.0.1:8000", url).replace("curl ", "curl -sS -w '\\n' ")
    done = subprocess.run(
        ["bash", "-euc", script], cwd=folder, env=environment({}), capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("changed in the database ")]
    assert (done.returncode, said) == (0, [])
    return list(filter(None, done.stdout.splitlines()))
