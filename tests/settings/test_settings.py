"""Settings: types, errors that name the variable, the key."""

import stat
from pathlib import Path

import pytest

from audit_service.errors import SettingsError
from audit_service.settings.environment import load_settings
from audit_service.settings.table import Settings


def test_defaults() -> None:
    assert load_settings(environ={}) == Settings()


def test_values_are_typed() -> None:
    environ = {"AUDIT_PORT": "9000", "AUDIT_LOGIN": "passwordless", "AUDIT_SECRET_KEY": "1234567890123456", "HOME": "/"}
    settings = load_settings(environ=environ)
    assert (settings.port, settings.login, settings.secret_key) == (9000, "passwordless", "1234567890123456")


def test_config_comes_before_the_environment() -> None:
    assert load_settings({"AUDIT_PORT": 1, "DEBUG": True}, {"AUDIT_PORT": "2", "AUDIT_WORKERS": "3"}).port == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("AUDIT_PORT", "http", "AUDIT_PORT must be a number from 1 to 65535, not 'http'"),
        ("AUDIT_PORT", "70000", "AUDIT_PORT must be a number from 1 to 65535, not '70000'"),
        ("AUDIT_LOGIN", "none", "AUDIT_LOGIN must be `password` or `passwordless`, not 'none'"),
        ("AUDIT_PROT", "1", "AUDIT_PROT is not a setting; the nearest is AUDIT_PORT (a number from 1 to 65535)"),
        ("AUDIT_SECRET_KEY", "short", "AUDIT_SECRET_KEY must be a text of at least 16 characters"),
        ("AUDIT_DATABASE_URL", "nonsense", "AUDIT_DATABASE_URL must be a postgresql:// or sqlite:/// URL"),
        ("AUDIT_DATA_DIR", "", "AUDIT_DATA_DIR must be a folder"),
        ("AUDIT_WORKERS", "1e1", "AUDIT_WORKERS must be a number from 1 to 256, not '1e1'"),
        ("AUDIT_SECRET_KEY_FILE", "/no/such", "AUDIT_SECRET_KEY_FILE: cannot read the file '/no/such'"),
        ("AUDIT_SECRET_FILE", "/etc/hostname", "AUDIT_SECRET_FILE is not a setting; the nearest is AUDIT_SECRET_KEY"),
        ("AUDIT_HOST", "a\x00b", "AUDIT_HOST must be an address"),
    ],
)
def test_a_bad_setting_is_named_in_one_line(name: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ={name: value})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["AUDIT_SECRET_KEY", "AUDIT_DATABASE_URL"])
def test_a_secret_value_is_not_shown(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ={name: "hunter2:@"})
    assert "hunter2" not in str(caught.value)


def test_a_value_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a key of the deployment\n")
    settings = load_settings(environ={"AUDIT_SECRET_KEY_FILE": str(tmp_path / "key")})
    assert settings.secret_key == "a key of the deployment"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql://u@h/d", "postgresql+psycopg://u@h/d"),
        ("sqlite:////x/y.db", "sqlite:////x/y.db"),
        ("sqlite:///y.db", f"sqlite:///{Path.cwd()}/y.db"),
    ],
)
def test_urls(given: str, used: str) -> None:
    assert str(Settings(database_url=given).url) == used


def test_the_embedded_database_is_in_the_data_folder(tmp_path: Path) -> None:
    assert str(Settings(data_dir=str(tmp_path)).url) == f"sqlite:///{tmp_path}/audit.db"


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path / "new"))
    key = settings.signing_key()
    assert len(key) >= 32
    assert settings.signing_key() == key
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["secret_key"]
    assert stat.S_IMODE((tmp_path / "new" / "secret_key").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40])
def test_a_damaged_key_is_not_used(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret_key").write_bytes(content)
    with pytest.raises(SettingsError, match="secret_key"):
        Settings(data_dir=str(tmp_path)).signing_key()


def test_a_setting_and_its_file_together(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="AUDIT_PORT and AUDIT_PORT_FILE are both set"):
        load_settings(environ={"AUDIT_PORT_FILE": str(tmp_path), "AUDIT_PORT": "1"})


def test_a_named_database_needs_a_key() -> None:
    with pytest.raises(SettingsError, match="AUDIT_SECRET_KEY is required"):
        Settings(database_url="postgresql://h/d").signing_key()


def test_a_data_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="AUDIT_DATA_DIR: cannot make the folder"):
        Settings(data_dir=str(tmp_path / "file" / "below")).signing_key()
