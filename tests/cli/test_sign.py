"""The command that signs, where no server does."""

import pytest

from tests.support.commands import run


@pytest.mark.usefixtures("engine")
def test_who_begins_the_log_is_shown_its_key(config: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in config.items():
        monkeypatch.setenv(name, str(value))
    first = run("sign", "--once")
    assert first.exit_code == 0, first.output
    key = run("trail", "key").stdout.strip()
    assert f"its public key is\n\n  {key}\n\nKeep it where nobody" in first.stdout
    assert key not in run("sign", "--once").stdout
    assert f"there is the log {key.split('+')[0]}\n" in run("trail", "init").stdout
