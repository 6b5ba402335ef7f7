"""``examples/builtin_signals``: its README's commands print what ``docs/signals.md`` says."""

import re
from pathlib import Path

import httpx

from tests.support.examples import PROJECT, commands, started_example

EXAMPLE = PROJECT / "examples/builtin_signals"
ADDRESS = "http://127.0.0.1:8003"


def test_what_the_documentation_shows_is_what_happens(tmp_path: Path) -> None:
    text = (PROJECT / "docs/signals.md").read_text()
    shown = dict(re.findall(rf"```text\n\$ curl {ADDRESS}(\S+)\n(.*?)```", text, re.DOTALL))
    start, *questions = commands(EXAMPLE / "README.md")
    assert questions == [f"curl {ADDRESS}{path}" for path in shown]
    with started_example(start, EXAMPLE, tmp_path / "output", {}) as example:
        count = len(example.lines())
        for path, expected in shown.items():
            answer = httpx.get(example.url + path)
            lines = example.lines_until("appcontext_popped", count)
            count += len(lines)
            assert (answer.text if path == "/own" else "".join(f"{line}\n" for line in lines)) == expected
