"""Record the picture of the README: run its commands in a terminal, and draw what they print. ``make picture`` runs it.

The commands are those of the README's section "Run it". They run in a new folder with links to the files of the
checkout, which is removed afterwards. Two things are not drawn as printed: the path of that folder, and the secrets.
"""

import os
import pty
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path

PROJECT = Path(__file__).parents[2]
SHOWN_FOLDER = "/srv/login-audit"
PICTURE = Path(__file__).with_name("first-minute.svg")
COLUMNS = 110  # characters in a line of the terminal
CHARACTER, LINE, MARGIN = 7.25, 16, 14  # pixels
STYLE = (
    "text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}"
    ".printed{fill:#c9d1d9}.typed{fill:#7ee787}.note{fill:#8b949e}"
)


def blocks() -> tuple[str, str]:
    """Return the command that starts the service, and those of the other terminal."""
    section = (PROJECT / "README.md").read_text().split("\n## Run it\n")[1].split("\n## ")[0]
    start, session, *_ = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return start, session


@contextmanager
def terminal(script: str, folder: Path) -> Iterator[Iterator[str]]:
    """Run *script* with a terminal as its output; yield its lines as they come. At the end the script is ended."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AUDIT_", "MAKE", "MFLAGS"))}
    ours, its = pty.openpty()
    process = subprocess.Popen(
        ["bash", "-euc", script], cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=its, stderr=its
    )
    os.close(its)
    with os.fdopen(ours, errors="replace") as output:
        yield lines_of(output)
        process.terminate()
        for _ in lines_of(output):
            pass
    process.wait(timeout=30)


def lines_of(output: Iterable[str]) -> Iterator[str]:
    """Return the lines of a terminal, without their ends."""
    try:
        for line in output:
            yield line.rstrip("\r\n")
    except OSError:  # what Linux raises at the end of a terminal
        return


def record(folder: Path) -> list[tuple[str, str]]:
    """Return the lines of both terminals, each with its style."""
    start, session = blocks()
    for path in PROJECT.iterdir():
        if path.name != "instance":
            (folder / path.name).symlink_to(path)
    found = [("typed", f"$ {start.strip()}")]
    with terminal(f"exec {start}", folder) as served:
        for line in served:
            found.append(("printed", line))
            if line.startswith("serving on "):
                break
        else:
            raise SystemExit("\n".join(line for _, line in found))
        found.append(("note", "# in another terminal"))
        with terminal(echoing(session), folder) as lines:
            found += [("typed" if line.startswith("$ ") else "printed", line) for line in lines]
    return [(style, without_secrets(line).replace(str(folder), SHOWN_FOLDER)) for style, line in found]


def echoing(session: str) -> str:
    """Return a script that prints each command before it runs it."""
    return "\n".join(f"echo {shlex.quote(f'$ {command}')}\n{command}" for command in session.splitlines())


def without_secrets(line: str) -> str:
    """Return *line* with the first password and token cut off."""
    return re.sub(r"(?<=^  password  ).*|(?<=\baud_).*", "…", line)


def draw(lines: list[tuple[str, str]]) -> str:
    """Return an SVG of *lines*, folded as a terminal folds them."""
    rows = [
        (style, line[start : start + COLUMNS])
        for style, line in lines
        for start in range(0, max(len(line), 1), COLUMNS)
    ]
    width, height = round(COLUMNS * CHARACTER) + 2 * MARGIN, len(rows) * LINE + 2 * MARGIN
    drawn = [
        f'<text class="{style}" x="{MARGIN}" y="{MARGIN + LINE * number - 4}">{escape(row, quote=False)}</text>'
        for number, (style, row) in enumerate(rows, 1)
        if row
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" xml:space="preserve">'
    ground = f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", ground, *drawn, "</svg>", ""])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        PICTURE.write_text(draw(record(Path(folder))))
